using System.Diagnostics;
using System.Globalization;

namespace Falcon.Runtime;

/// <summary>The memory of this process, as the operating system counts it, and of the machine.</summary>
public static class PeakMemory
{
    /// <summary>Largest resident memory of the process so far, in bytes: VmHWM on Linux, the peak working set elsewhere.</summary>
    public static long Bytes()
    {
        if (StatusLine("/proc/self/status", "VmHWM:") is { } peak) return peak;
        using var process = Process.GetCurrentProcess();
        return process.PeakWorkingSet64;
    }

    /// <summary>
    /// Memory that is available now without swapping, in bytes: MemAvailable on Linux, but at most the container's limit; elsewhere what
    /// the .NET runtime may use.
    /// </summary>
    public static long Available()
    {
        var limit = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        return StatusLine("/proc/meminfo", "MemAvailable:") is { } available ? Math.Min(available, limit) : limit;
    }

    /// <summary>A size as text, such as <c>3.9 GiB</c>.</summary>
    public static string Text(long bytes) => bytes >= 1L << 30
        ? string.Create(CultureInfo.InvariantCulture, $"{bytes / (double)(1L << 30):0.0} GiB")
        : string.Create(CultureInfo.InvariantCulture, $"{bytes / (double)(1L << 20):0} MiB");

    private static long? StatusLine(string path, string key)
    {
        if (!File.Exists(path)) return null;
        var line = File.ReadLines(path).FirstOrDefault(line => line.StartsWith(key, StringComparison.Ordinal));
        return line is null
            ? null
            : long.Parse(line[key.Length..].Replace("kB", "", StringComparison.Ordinal).Trim(), CultureInfo.InvariantCulture) * 1024;
    }
}
