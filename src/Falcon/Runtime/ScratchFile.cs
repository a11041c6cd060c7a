using Microsoft.Win32.SafeHandles;

namespace Falcon.Runtime;

/// <summary>
/// A temporary file for data that does not fit into memory. Space is reserved at its end and read and written at any position. The file is
/// deleted with the object unless it is to be kept. Its pages belong to the operating system's file cache, not to the process.
/// </summary>
public sealed class ScratchFile : IDisposable
{
    private readonly SafeFileHandle _handle;
    private readonly string _path;
    private long _length;

    /// <summary>Creates the file; its folder must exist.</summary>
    /// <param name="path">The file.</param>
    /// <param name="kept">Whether the file stays after <see cref="Dispose"/>.</param>
    /// <exception cref="UserInputException">The file cannot be created.</exception>
    public ScratchFile(string path, bool kept = false)
    {
        _path = path;
        try
        {
            _handle = File.OpenHandle(
                path,
                FileMode.Create,
                FileAccess.ReadWrite,
                FileShare.Read | FileShare.Delete,
                (kept ? 0 : FileOptions.DeleteOnClose) | FileOptions.RandomAccess
            );
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserInputException(
                $"{path}: the scratch file cannot be created ({e.Message.TrimEnd('.')}); choose an --out on a writable disk.",
                e
            );
        }
    }

    private ScratchFile(string path, SafeFileHandle handle) => (_path, _handle, _length) = (path, handle, RandomAccess.GetLength(handle));

    /// <summary>Opens a kept file for reading.</summary>
    /// <exception cref="IOException">It cannot be read.</exception>
    public static ScratchFile OpenKept(string path) =>
        new(path, File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete, FileOptions.RandomAccess));

    /// <summary>Bytes reserved so far.</summary>
    public long Length => _length;

    /// <summary>Reserves space and returns its position.</summary>
    public long Reserve(long bytes)
    {
        var place = _length;
        _length += bytes;
        return place;
    }

    /// <summary>Fills <paramref name="bytes"/> from a position that was written before.</summary>
    /// <exception cref="EndOfStreamException">Nothing was written there.</exception>
    public void Read(long place, Span<byte> bytes)
    {
        while (bytes.Length > 0)
        {
            var count = RandomAccess.Read(_handle, bytes, place);
            if (count == 0) throw new EndOfStreamException($"{_path}: nothing was written at byte {place}");
            bytes = bytes[count..];
            place += count;
        }
    }

    /// <summary>Writes bytes at a reserved position.</summary>
    /// <exception cref="UserInputException">The disk is full.</exception>
    public void Write(long place, ReadOnlySpan<byte> bytes)
    {
        try
        {
            RandomAccess.Write(_handle, bytes, place);
        }
        catch (IOException e)
        {
            throw new UserInputException(
                $"{_path}: it could not be written ({e.Message.TrimEnd('.')}). "
                    + "Free some space, choose another --out, or allow more memory (--memory-limit, --cache-memory).",
                e
            );
        }
    }

    /// <summary>Closes the file and, unless it is kept, deletes it.</summary>
    public void Dispose() => _handle.Dispose();
}
