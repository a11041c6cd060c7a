using Falcon.Runtime;
using Microsoft.Win32.SafeHandles;

namespace Falcon.Checkpoints.Gguf;

/// <summary>
/// A GGUF file opened for reading, version 2 or 3, little-endian. The header is checked in full: lengths before anything is allocated,
/// types, sizes, and that the tensors lie one behind the other, each at the file's alignment. Source: the GGUF specification and what
/// llama.cpp accepts.
/// </summary>
internal sealed class GgufFile : IDisposable
{
    private const uint Magic = 0x46554747; // "GGUF"
    private const int DefaultAlignment = 32,
        LargestDimensions = 4,
        LongestName = 64; // with llama.cpp's end mark

    private readonly SafeFileHandle _handle;

    private GgufFile(string path, GgufMetadata metadata, IReadOnlyList<GgufTensor> tensors)
    {
        (Path, Metadata, Tensors) = (path, metadata, tensors);
        _handle = File.OpenHandle(path, options: FileOptions.SequentialScan);
    }

    /// <summary>The path the file was opened with.</summary>
    public string Path { get; }

    /// <summary>Keys and values.</summary>
    public GgufMetadata Metadata { get; }

    /// <summary>The tensors, in the order of their data.</summary>
    public IReadOnlyList<GgufTensor> Tensors { get; }

    /// <summary>Whether a path is a GGUF file by its name.</summary>
    public static bool IsNamed(string path) => path.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase);

    /// <summary>Opens a file and checks its header.</summary>
    /// <exception cref="UnsupportedCheckpointException">
    /// The file is missing, unreadable or no valid GGUF file; the message names file and reason.
    /// </exception>
    public static GgufFile Open(string path)
    {
        try
        {
            using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 1 << 16);
            var reader = new GgufReader(stream);
            var (tensorCount, keyCount) = ReadStart(reader);
            var metadata = ReadMetadata(path, reader, keyCount);
            return new GgufFile(path, metadata, ReadTensors(reader, tensorCount, Alignment(metadata), stream.Length));
        }
        catch (Exception error) when (error is FormatException or IOException or UnauthorizedAccessException or NotSupportedException)
        {
            throw new UnsupportedCheckpointException(
                $"{path}: not a readable GGUF file: {error.Message.TrimEnd('.')}. Copy or download the file again, or take another one.",
                error
            );
        }
    }

    /// <summary>Values of a tensor as float32, from the start of a block to the end of one.</summary>
    /// <param name="tensor">A tensor of this file.</param>
    /// <param name="from">The first value.</param>
    /// <param name="values">Room for them.</param>
    /// <exception cref="UnsupportedCheckpointException">A value is not finite, or the file was truncated after it was opened.</exception>
    public void Read(GgufTensor tensor, long from, Span<float> values)
    {
        var bytes = new byte[tensor.Type.Bytes(values.Length)];
        Fill(bytes, tensor.Begin + tensor.Type.Bytes(from));
        tensor.Type.Dequantize(bytes, values);
        foreach (var value in values)
            if (!float.IsFinite(value))
                throw new UnsupportedCheckpointException(
                    $"{Path}: {tensor.Name} has a value that is not finite. The model is damaged; take another file."
                );
    }

    /// <summary>Whether two tensors of the same type and shape are the same to the last bit.</summary>
    public bool HaveSameBytes(GgufTensor one, GgufTensor other)
    {
        const int atOnce = 1 << 20;
        var (mine, theirs) = (new byte[atOnce], new byte[atOnce]);
        for (var done = 0L; done < one.ByteLength; done += atOnce)
        {
            var count = (int)Math.Min(atOnce, one.ByteLength - done);
            Fill(mine.AsSpan(0, count), one.Begin + done);
            Fill(theirs.AsSpan(0, count), other.Begin + done);
            if (!mine.AsSpan(0, count).SequenceEqual(theirs.AsSpan(0, count)))
                return false;
        }

        return true;
    }

    /// <summary>Closes the file.</summary>
    public void Dispose() => _handle.Dispose();

    private void Fill(Span<byte> bytes, long position)
    {
        for (var done = 0; done < bytes.Length;)
        {
            var count = RandomAccess.Read(_handle, bytes[done..], position + done);
            if (count == 0)
                throw new UnsupportedCheckpointException(
                    $"{Path}: the file was truncated after it was opened. Do not change a model while it is in use."
                );
            done += count;
        }
    }

    private static (ulong Tensors, ulong Keys) ReadStart(GgufReader reader)
    {
        if (reader.Left == 0)
            throw new FormatException("the file is empty");
        var magic = reader.UInt32("the magic number");
        if (magic != Magic)
            throw new FormatException("the magic number is not GGUF; an older format of llama.cpp has to be converted by its tools first");
        var version = reader.UInt32("the version");
        if (version is 0x02000000 or 0x03000000)
            throw new FormatException($"the version {version >> 24} stands in big-endian byte order; only little-endian files are read");
        if (version is not (2 or 3))
            throw new FormatException($"version {version}; versions 2 and 3 are read");
        var tensors = reader.UInt64("the tensor count");
        var keys = reader.UInt64("the key count");
        // A tensor takes at least 24 bytes of header, a key at least 13.
        if (tensors > (ulong)reader.Left / 24)
            throw new FormatException($"the tensor count {tensors} is beyond the end of the file");
        if (keys > (ulong)reader.Left / 13)
            throw new FormatException($"the key count {keys} is beyond the end of the file");
        return (tensors, keys);
    }

    private static GgufMetadata ReadMetadata(string path, GgufReader reader, ulong count)
    {
        Dictionary<string, object> values = [];
        for (var i = 0UL; i < count; i++)
        {
            var key = reader.Text($"the key {i + 1} of {count}");
            if (key.Length == 0)
                throw new FormatException($"the key {i + 1} of {count} is empty");
            if (!values.TryAdd(key, reader.Value(key)))
                throw new FormatException($"the key {key} stands there twice");
        }

        var metadata = new GgufMetadata(path, values);
        if (metadata.Has("split.count") && metadata.Integer("split.count") > 1)
            throw new FormatException(
                $"it is one of {metadata.Integer("split.count")} parts (split.count); join them with llama.cpp's gguf-split --merge"
            );
        return metadata;
    }

    private static long Alignment(GgufMetadata metadata)
    {
        if (!metadata.Has("general.alignment"))
            return DefaultAlignment;
        var alignment = metadata.Integer("general.alignment");
        return alignment is >= 8 and <= 1 << 30 && long.IsPow2(alignment)
            ? alignment
            : throw new FormatException($"general.alignment is {alignment}, which is no power of two from 8 on");
    }

    private static List<GgufTensor> ReadTensors(GgufReader reader, ulong count, long alignment, long fileLength)
    {
        List<(string Name, GgufType Type, long[] Shape, ulong Offset)> infos = [];
        HashSet<string> names = [];
        for (var i = 0UL; i < count; i++)
        {
            var info = ReadInfo(reader, $"the name of tensor {i + 1} of {count} in the tensor list");
            if (!names.Add(info.Name))
                throw new FormatException($"the tensor {info.Name} stands there twice");
            infos.Add(info);
        }

        var start = Aligned(reader.Position, alignment);
        List<GgufTensor> tensors = [];
        var next = 0L;
        foreach (var (name, type, shape, offset) in infos)
        {
            if (offset % (ulong)alignment != 0)
                throw new FormatException($"{name} has the offset {offset}, which is no multiple of the alignment {alignment}");
            if (offset != (ulong)next)
                throw new FormatException($"{name} has the offset {offset}; behind the tensor before it is {next}");
            var tensor = new GgufTensor(name, type, shape, start + next);
            if (tensor.ByteLength > fileLength - tensor.Begin)
                throw new FormatException(
                    $"the file is truncated: {name} needs {tensor.ByteLength} bytes, {Math.Max(0, fileLength - tensor.Begin)} are there"
                        + $" (general.alignment is {alignment})"
                );
            tensors.Add(tensor);
            next = Aligned(next + tensor.ByteLength, alignment);
        }

        return tensors;
    }

    private static (string Name, GgufType Type, long[] Shape, ulong Offset) ReadInfo(GgufReader reader, string what)
    {
        var name = reader.Text(what);
        if (name.Length is 0 or >= LongestName)
            throw new FormatException(
                $"the tensor name '{name}' has a length of {name.Length}; 1 to {LongestName - 1} characters are allowed"
            );
        var dimensions = reader.UInt32("the dimensions of " + name);
        if (dimensions is 0 or > LargestDimensions)
            throw new FormatException($"{name} has {dimensions} dimensions; 1 to {LargestDimensions} are allowed");
        var shape = new long[dimensions];
        var elements = 1UL;
        for (var i = 0; i < shape.Length; i++)
        {
            var size = reader.UInt64("a dimension of " + name);
            if (size is 0 or > long.MaxValue)
                throw new FormatException($"{name} has a dimension of size {size}");
            if (Math.BigMul(elements, size, out elements) != 0 || elements > long.MaxValue / 8)
                throw new FormatException($"{name} has a size beyond any file");
            shape[^(i + 1)] = (long)size;
        }

        GgufType type;
        try
        {
            type = GgufType.Of(reader.UInt32("the type of " + name));
        }
        catch (FormatException error)
        {
            throw new FormatException($"{name} {error.Message}", error);
        }

        if (shape[^1] % type.BlockSize != 0)
            throw new FormatException(
                $"{name} has rows of {shape[^1]} values, which are no whole blocks of {type.Name} ({type.BlockSize})"
            );
        return (name, type, shape, reader.UInt64("the offset of " + name));
    }

    private static long Aligned(long position, long alignment) => (position + alignment - 1) / alignment * alignment;
}
