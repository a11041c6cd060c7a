using System.Buffers.Binary;
using System.IO.MemoryMappedFiles;
using Falcon.Runtime;
using Falcon.Runtime.Files;
using Microsoft.Win32.SafeHandles;

namespace Falcon.Checkpoints.Safetensors;

/// <summary>
/// A safetensors file opened for reading: its header is checked in full, its data is memory-mapped. The layout is 8 bytes of header length
/// N (unsigned, little-endian), N bytes of JSON, then the data, little-endian and row-major. Source: the safetensors format and its
/// reference reader; unlike that reader, a duplicate key is refused.
/// </summary>
public sealed class SafetensorsFile : IDisposable
{
    private const int PrefixLength = 8;
    private const int ChunkLength = 1 << 24;

    private readonly SafetensorsHeader _header;
    private readonly MemoryMappedFile _mapping;
    private readonly MemoryMappedViewAccessor _view;
    private readonly SafeFileHandle _handle;
    private readonly long _dataStart;
    private bool _disposed;

    private SafetensorsFile(string path, SafetensorsHeader header, MemoryMappedFile mapping, long dataStart)
    {
        Path = path;
        _header = header;
        _mapping = mapping;
        _view = mapping.CreateViewAccessor(0, 0, MemoryMappedFileAccess.Read);
        _dataStart = dataStart;
        _handle = File.OpenHandle(path, options: FileOptions.SequentialScan);
    }

    /// <summary>The path the file was opened with.</summary>
    public string Path { get; }

    /// <summary>The text metadata (<c>__metadata__</c>); empty when there is none.</summary>
    public IReadOnlyDictionary<string, string> Metadata => _header.Metadata;

    /// <summary>Where the data section starts, in bytes from the start of the file.</summary>
    internal long DataStart => _dataStart;

    /// <summary>The tensors, in the order of their data.</summary>
    public IReadOnlyList<SafetensorsEntry> Entries => _header.Entries;

    /// <summary>
    /// Opens a file and checks its header: its length before any allocation, strict JSON, sizes, and that the tensors cover the data
    /// without gap or overlap.
    /// </summary>
    /// <exception cref="UnsupportedCheckpointException">
    /// The file is missing, unreadable or not a valid safetensors file; the message names file and reason.
    /// </exception>
    public static SafetensorsFile Open(string path)
    {
        LfsPointer.Refuse(path);
        try
        {
            using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read);
            var headerLength = ReadHeaderLength(stream);
            var text = new byte[headerLength];
            stream.ReadExactly(text);
            var dataStart = PrefixLength + headerLength;
            var header = SafetensorsHeader.Parse(text, stream.Length - dataStart);
            var mapping = MemoryMappedFile.CreateFromFile(
                stream,
                mapName: null,
                capacity: 0,
                MemoryMappedFileAccess.Read,
                HandleInheritability.None,
                leaveOpen: true
            );
            return new SafetensorsFile(path, header, mapping, dataStart);
        }
        catch (Exception error) when (error is FormatException or IOException or UnauthorizedAccessException or NotSupportedException)
        {
            throw new UnsupportedCheckpointException(
                $"{path}: not a readable safetensors file: {error.Message.TrimEnd('.')}. Copy or download the file again.",
                error
            );
        }
    }

    /// <summary>Finds a tensor by its name.</summary>
    /// <returns>False, and a null <paramref name="entry"/>, when the file has no such tensor.</returns>
    public bool TryGetEntry(string name, [System.Diagnostics.CodeAnalysis.MaybeNullWhen(false)] out SafetensorsEntry entry) =>
        _header.ByName.TryGetValue(name, out entry);

    /// <summary>The bytes of a tensor in the mapped file, at any alignment; valid until this object is disposed.</summary>
    /// <exception cref="ArgumentException">
    /// The tensor has more than 2^31 - 1 bytes (use the overload with a range, or <see cref="CopyTo"/>), or belongs to another file.
    /// </exception>
    public ReadOnlySpan<byte> Bytes(SafetensorsEntry entry)
    {
        if (entry.ByteLength > int.MaxValue)
            throw new ArgumentException($"tensor '{entry.Name}' has {entry.ByteLength} bytes, more than one span holds", nameof(entry));
        return Bytes(entry, 0, (int)entry.ByteLength);
    }

    /// <summary>
    /// <paramref name="length"/> bytes of a tensor, starting at byte <paramref name="offset"/>; for tensors of more than 2 GB.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">The range is not within the tensor, or the tensor belongs to another file.</exception>
    public unsafe ReadOnlySpan<byte> Bytes(SafetensorsEntry entry, long offset, int length)
    {
        RequireWithin(entry, offset, length);
        var handle = _view.SafeMemoryMappedViewHandle;
        var start = (byte*)handle.DangerousGetHandle() + _view.PointerOffset;
        return new ReadOnlySpan<byte>(start + _dataStart + entry.Begin + offset, length);
    }

    /// <summary>
    /// Reads bytes of a tensor, starting at byte <paramref name="offset"/>, without the mapping: the pages then belong to the operating
    /// system's file cache and do not count as memory of the process.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">The range is not within the tensor, or the tensor belongs to another file.</exception>
    /// <exception cref="UnsupportedCheckpointException">The file was truncated after it was opened.</exception>
    public void Read(SafetensorsEntry entry, long offset, Span<byte> destination)
    {
        RequireWithin(entry, offset, destination.Length);
        var position = _dataStart + entry.Begin + offset;
        while (destination.Length > 0)
        {
            var count = RandomAccess.Read(_handle, destination, position);
            if (count == 0)
                throw new UnsupportedCheckpointException(
                    $"{Path}: the file was truncated after it was opened. Do not change a model while it is in use."
                );
            destination = destination[count..];
            position += count;
        }
    }

    /// <summary>
    /// Writes the bytes of a tensor of any size to a stream, in pieces, without a whole copy in memory.
    /// </summary>
    public void CopyTo(SafetensorsEntry entry, Stream destination)
    {
        for (var offset = 0L; offset < entry.ByteLength; offset += ChunkLength)
            destination.Write(Bytes(entry, offset, (int)Math.Min(ChunkLength, entry.ByteLength - offset)));
    }

    private void RequireWithin(SafetensorsEntry entry, long offset, int length)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        ArgumentOutOfRangeException.ThrowIfNegative(entry.Begin);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(entry.End, Entries.Count == 0 ? 0 : Entries[^1].End);
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, entry.ByteLength - offset);
    }

    /// <summary>Closes the file; spans taken from it must not be used any more.</summary>
    public void Dispose()
    {
        _disposed = true;
        _view.Dispose();
        _mapping.Dispose();
        _handle.Dispose();
    }

    private static long ReadHeaderLength(FileStream stream)
    {
        var fileLength = stream.Length;
        if (fileLength < PrefixLength) throw new FormatException($"{fileLength} bytes are too few for a header length");
        Span<byte> prefix = stackalloc byte[PrefixLength];
        stream.ReadExactly(prefix);
        var headerLength = BinaryPrimitives.ReadUInt64LittleEndian(prefix);
        if (headerLength > SafetensorsHeader.MaximumLength)
            throw new FormatException($"header of {headerLength} bytes; at most {SafetensorsHeader.MaximumLength} are allowed");
        if ((long)headerLength > fileLength - PrefixLength)
            throw new FormatException($"header of {headerLength} bytes ends past the end of the file");
        return (long)headerLength;
    }
}
