using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using Falcon.Runtime;

namespace Falcon.Checkpoints.Safetensors;

/// <summary>A tensor to write.</summary>
/// <param name="Name">State-dict name; any text except <c>__metadata__</c>.</param>
/// <param name="DType">Element type as the format spells it (<c>F32</c>, <c>BF16</c>, …).</param>
/// <param name="Shape">Dimensions; empty for a scalar.</param>
/// <param name="WriteBytes">Writes the tensor's bytes, little-endian and row-major, exactly as many as dtype and shape require.</param>
public sealed record SafetensorsSource(string Name, string DType, long[] Shape, Action<Stream> WriteBytes);

/// <summary>
/// Writes a safetensors file: the header as compact JSON, padded with spaces to a multiple of 8 bytes, then the tensors without gaps. The
/// file appears under its name only when it is complete. Source: the writer of the safetensors reference implementation.
/// </summary>
public static class SafetensorsWriter
{
    private static readonly UTF8Encoding StrictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);
    private static readonly Dictionary<string, string> PyTorchMetadata = new() { ["format"] = "pt" };

    /// <summary>Writes tensors to a file, replacing an existing one.</summary>
    /// <param name="path">The file to write; its folder must exist.</param>
    /// <param name="tensors">The tensors; their bytes are requested one tensor at a time, in the order of the file.</param>
    /// <param name="metadata">Text metadata; null or empty for <c>{"format":"pt"}</c>, without which transformers refuses a file.</param>
    /// <param name="keepOrder">
    /// False for the reference writer's order: widest dtype first, then names in byte order. True for the given order.
    /// </param>
    /// <exception cref="ArgumentException">
    /// A name is reserved or given twice, a dtype is unknown, a size does not fit 64 bits, or the header has more than 100,000,000 bytes.
    /// </exception>
    /// <exception cref="InvalidOperationException">A source wrote more or fewer bytes than its dtype and shape require.</exception>
    /// <exception cref="UserInputException">
    /// The file cannot be written (no space, no permission, no such folder); nothing is left behind.
    /// </exception>
    public static void Write(
        string path,
        IReadOnlyList<SafetensorsSource> tensors,
        IReadOnlyDictionary<string, string>? metadata = null,
        bool keepOrder = false
    )
    {
        var lengths = new Dictionary<string, long>(StringComparer.Ordinal);
        foreach (var tensor in tensors) lengths.Add(CheckedName(tensor, lengths), CheckedLength(tensor));
        var ordered = keepOrder ? tensors : InReferenceOrder(tensors);
        var header = Header(ordered, lengths, metadata is { Count: > 0 } ? metadata : PyTorchMetadata);
        var total = checked(header.Length + lengths.Values.Sum());

        var temporary = $"{path}.{Guid.NewGuid():N}.tmp";
        try
        {
            using (var stream = Guarded(path, () => Create(temporary, total)))
            {
                Guarded(path, () => stream.Write(header));
                foreach (var tensor in ordered)
                {
                    using var target = new ExactLengthStream(stream, path, tensor.Name, lengths[tensor.Name]);
                    tensor.WriteBytes(target);
                    target.CheckComplete();
                }
                Guarded(path, () => stream.Flush(flushToDisk: true));
            }
            Guarded(path, () => File.Move(temporary, path, overwrite: true));
        }
        catch
        {
            if (File.Exists(temporary)) File.Delete(temporary);
            throw;
        }
    }

    // Without a buffer, which would be flushed on closing and so fail a second time on a full disk.
    private static FileStream Create(string path, long length) =>
        new(
            path,
            new FileStreamOptions
            {
                Mode = FileMode.CreateNew,
                Access = FileAccess.Write,
                PreallocationSize = length,
                BufferSize = 0,
            }
        );

    private static string CheckedName(SafetensorsSource tensor, Dictionary<string, long> seen)
    {
        if (tensor.Name == SafetensorsHeader.MetadataKey)
            throw new ArgumentException($"'{tensor.Name}' is reserved and cannot name a tensor");
        return seen.ContainsKey(tensor.Name) ? throw new ArgumentException($"tensor '{tensor.Name}' is given twice") : tensor.Name;
    }

    private static long CheckedLength(SafetensorsSource tensor)
    {
        if (tensor.Shape.Any(dimension => dimension < 0)) throw new ArgumentException($"tensor '{tensor.Name}' has a negative dimension");
        var length = SafetensorsDType.ByteLength(tensor.DType, tensor.Shape, out var reason);
        return length is <= long.MaxValue ? (long)length : throw new ArgumentException($"tensor '{tensor.Name}': {reason}");
    }

    private static SafetensorsSource[] InReferenceOrder(IReadOnlyList<SafetensorsSource> tensors) =>
    [
        .. tensors
            .OrderByDescending(tensor => SafetensorsDType.TryGetRank(tensor.DType, out var rank) ? rank : -1)
            .ThenBy(tensor => StrictUtf8.GetBytes(tensor.Name), Comparer<byte[]>.Create((a, b) => a.AsSpan().SequenceCompareTo(b))),
    ];

    private static byte[] Header(
        IReadOnlyList<SafetensorsSource> tensors,
        Dictionary<string, long> lengths,
        IReadOnlyDictionary<string, string> metadata
    )
    {
        var json = new StringBuilder("{");
        AppendQuoted(json, SafetensorsHeader.MetadataKey).Append(":{");
        foreach (var (key, value) in metadata)
        {
            if (json[^1] != '{') json.Append(',');
            AppendQuoted(AppendQuoted(json, key).Append(':'), value);
        }
        json.Append('}');
        var begin = 0L;
        foreach (var tensor in tensors)
        {
            var end = begin + lengths[tensor.Name];
            AppendQuoted(AppendQuoted(json.Append(','), tensor.Name).Append(":{\"dtype\":"), tensor.DType)
                .Append(CultureInfo.InvariantCulture, $",\"shape\":[{string.Join(',', tensor.Shape)}],\"data_offsets\":[{begin},{end}]}}");
            begin = end;
        }
        json.Append('}');

        var text = StrictUtf8.GetBytes(json.ToString());
        var padded = (text.Length + 7) / 8 * 8;
        if ((ulong)padded > SafetensorsHeader.MaximumLength)
            throw new ArgumentException(
                $"the header would have {padded} bytes; at most {SafetensorsHeader.MaximumLength} are allowed",
                nameof(tensors)
            );
        var header = new byte[8 + padded];
        header.AsSpan().Fill((byte)' ');
        BinaryPrimitives.WriteUInt64LittleEndian(header, (ulong)padded);
        text.CopyTo(header, 8);
        return header;
    }

    /// <summary>Appends a JSON string with only the escapes that JSON requires, like the reference writer.</summary>
    private static StringBuilder AppendQuoted(StringBuilder json, string text)
    {
        json.Append('"');
        foreach (var character in text)
        {
            _ = character switch
            {
                '"' or '\\' => json.Append('\\').Append(character),
                '\b' => json.Append("\\b"),
                '\f' => json.Append("\\f"),
                '\n' => json.Append("\\n"),
                '\r' => json.Append("\\r"),
                '\t' => json.Append("\\t"),
                < ' ' => json.Append(CultureInfo.InvariantCulture, $"\\u{(int)character:x4}"),
                _ => json.Append(character),
            };
        }
        return json.Append('"');
    }

    private static T Guarded<T>(string path, Func<T> action)
    {
        try
        {
            return action();
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new UserInputException($"{path}: the file cannot be written: {error.Message}", error);
        }
    }

    private static void Guarded(string path, Action action) => Guarded(path, () =>
    {
        action();
        return true;
    });

    /// <summary>Forwards bytes to the file and counts them, so that a fault of the file and a fault of the source are told apart.</summary>
    private sealed class ExactLengthStream(FileStream file, string path, string tensor, long expected) : Stream
    {
        private long _written;

        public override bool CanRead => false;
        public override bool CanSeek => false;
        public override bool CanWrite => true;
        public override long Length => throw new NotSupportedException();
        public override long Position { get => _written; set => throw new NotSupportedException(); }

        public override void Write(ReadOnlySpan<byte> buffer)
        {
            _written += buffer.Length;
            if (_written > expected)
                throw new InvalidOperationException($"tensor '{tensor}' wrote more than its {expected} bytes to {path}");
            try
            {
                file.Write(buffer);
            }
            catch (IOException error)
            {
                throw new UserInputException($"{path}: the file cannot be written: {error.Message}", error);
            }
        }

        public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

        public void CheckComplete()
        {
            if (_written != expected)
                throw new InvalidOperationException($"tensor '{tensor}' wrote {_written} bytes to {path}, not {expected}");
        }

        public override void Flush() { }
        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();
        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
        public override void SetLength(long value) => throw new NotSupportedException();
    }
}
