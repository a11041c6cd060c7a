using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;

namespace Falcon.Runtime.Machine;

/// <summary>
/// Gives memory that is freed back to the operating system while it lives. Batches of ever other lengths tear the heap of the C library:
/// what one batch frees does not fit the next, so the heap grows although the tensors in it do not. glibc returns only the end of its heap
/// by itself; <c>malloc_trim</c> returns the pages in between, of every arena. That costs a few milliseconds and new pages for later
/// tensors, so it is done only while the resident memory is above a bound. It changes no number: which pages back an address is all that
/// differs. Other C libraries (musl, macOS, Windows) have no such call, and nothing is done there.
/// </summary>
public sealed class FreedMemory : IDisposable
{
    private const int PollMilliseconds = 100;
    private static readonly long ShortestPause = Stopwatch.Frequency / 4;
    private static readonly long LongestPause = 8 * Stopwatch.Frequency;

    // Trimming may take a twentieth of the time.
    private const int TimesItsDuration = 20;

    // A trim that returns less than this share was for nothing, so the next one waits longer: tensors hold the memory.
    private const int LeastShare = 16;

    private static readonly nint TrimFunction = FindTrim();

    private readonly ManualResetEvent _ended = new(false);
    private readonly Thread? _watch;
    private long _above;
    private int _times;

    private FreedMemory(long above)
    {
        _above = above;
        if (!CanReturn) return;
        _watch = new Thread(Watch) { IsBackground = true, Name = "freed memory" };
        _watch.Start();
    }

    /// <summary>Whether this operating system and C library can give back freed memory on request.</summary>
    public static bool CanReturn => TrimFunction != 0;

    /// <summary>Bytes of resident memory above which freed memory is given back; may be changed at any time.</summary>
    public long Above
    {
        get => Volatile.Read(ref _above);
        set => Volatile.Write(ref _above, value);
    }

    /// <summary>How often memory was given back.</summary>
    public int Times => Volatile.Read(ref _times);

    /// <summary>Watches the resident memory of the process until the result is disposed.</summary>
    /// <param name="bytes">Above this, freed memory is given back.</param>
    public static FreedMemory ReturnAbove(long bytes) => new(bytes);

    /// <summary>Resident memory of the process now, in bytes.</summary>
    public static long ResidentBytes()
    {
        if (!OperatingSystem.IsLinux()) return Environment.WorkingSet;
        using var handle = File.OpenHandle("/proc/self/statm");
        return Resident(handle);
    }

    /// <summary>Ends the watch; what is freed by then is given back if the bound is passed.</summary>
    public void Dispose()
    {
        _ended.Set();
        _watch?.Join();
        _ended.Dispose();
    }

    // Nothing here allocates managed memory: a collection that this thread started could meet the computing thread inside a native call.
    private void Watch()
    {
        using var handle = File.OpenHandle("/proc/self/statm");
        var (pause, due) = (ShortestPause, 0L);
        while (!_ended.WaitOne(PollMilliseconds))
        {
            var begin = Stopwatch.GetTimestamp();
            var resident = Resident(handle);
            if (begin < due || resident <= Above) continue;
            Trim();
            var end = Stopwatch.GetTimestamp();
            pause = resident - Resident(handle) < resident / LeastShare ? Math.Min(2 * pause, LongestPause) : ShortestPause;
            due = end + Math.Max(pause, TimesItsDuration * (end - begin));
        }

        if (Resident(handle) > Above) Trim();
    }

    private unsafe void Trim()
    {
        _ = ((delegate* unmanaged<nuint, int>)TrimFunction)(0);
        Volatile.Write(ref _times, _times + 1);
    }

    // The second number of the file: resident pages.
    private static long Resident(Microsoft.Win32.SafeHandles.SafeFileHandle handle)
    {
        Span<byte> text = stackalloc byte[128];
        text = text[..RandomAccess.Read(handle, text, 0)];
        text = text[(text.IndexOf((byte)' ') + 1)..];
        return long.Parse(text[..text.IndexOf((byte)' ')], NumberStyles.None, CultureInfo.InvariantCulture) * Environment.SystemPageSize;
    }

    private static nint FindTrim() =>
        OperatingSystem.IsLinux()
        && NativeLibrary.TryLoad("libc.so.6", out var library)
        && NativeLibrary.TryGetExport(library, "malloc_trim", out var function)
            ? function
            : 0;
}
