using System.Text;

namespace Falcon.Checkpoints.Gguf;

/// <summary>A tensor to write.</summary>
/// <param name="Name">Its name in the file; below 64 bytes.</param>
/// <param name="Type">Number type.</param>
/// <param name="Shape">Sizes, the slowest first: rows, then columns.</param>
/// <param name="Write">Writes its bytes, exactly as many as type and shape ask for.</param>
internal sealed record GgufSource(string Name, GgufType Type, IReadOnlyList<long> Shape, Action<Stream> Write)
{
    /// <summary>Bytes of its data.</summary>
    public long ByteLength => Type.Bytes(Shape.Aggregate(1L, (product, size) => product * size));
}

/// <summary>
/// Writes a GGUF file, version 3, little-endian: keys and values, the list of tensors, then their data one behind the other, each padded to
/// 32 bytes, as llama.cpp wants it. Tensors are made one at a time, while they are written.
/// </summary>
internal static class GgufWriter
{
    private const uint Magic = 0x46554747,
        Version = 3;

    private const int Alignment = 32,
        LongestName = 63; // llama.cpp keeps 64 bytes with the end mark

    /// <summary>Writes a whole file.</summary>
    /// <param name="target">An empty stream that knows its position.</param>
    /// <param name="metadata">Keys and values: uint, float, bool, string, or an array of string, float or int.</param>
    /// <param name="tensors">The tensors, in the order of the file.</param>
    /// <exception cref="ArgumentException">A name is too long, a value of an unknown type, or a tensor of another size.</exception>
    public static void Write(Stream target, IReadOnlyList<(string Key, object Value)> metadata, IReadOnlyList<GgufSource> tensors)
    {
        using var writer = new BinaryWriter(target, Encoding.UTF8, leaveOpen: true);
        writer.Write(Magic);
        writer.Write(Version);
        writer.Write((ulong)tensors.Count);
        writer.Write((ulong)metadata.Count);
        foreach (var (key, value) in metadata)
        {
            Text(writer, key);
            Value(writer, key, value);
        }

        var offset = 0L;
        foreach (var tensor in tensors)
        {
            if (Encoding.UTF8.GetByteCount(tensor.Name) > LongestName)
                throw new ArgumentException($"the tensor name '{tensor.Name}' is longer than {LongestName} bytes", nameof(tensors));
            Text(writer, tensor.Name);
            writer.Write((uint)tensor.Shape.Count);
            foreach (var size in tensor.Shape.Reverse())
                writer.Write((ulong)size);
            writer.Write(tensor.Type.Id);
            writer.Write((ulong)offset);
            offset += Padded(tensor.ByteLength);
        }

        Pad(writer);
        foreach (var tensor in tensors)
        {
            var begin = target.Position;
            tensor.Write(target);
            if (target.Position - begin != tensor.ByteLength)
                throw new ArgumentException($"{tensor.Name} has {target.Position - begin} bytes, not {tensor.ByteLength}", nameof(tensors));
            Pad(writer);
        }
    }

    private static void Value(BinaryWriter writer, string key, object value)
    {
        switch (value)
        {
            case uint number:
                writer.Write(4u);
                writer.Write(number);
                break;
            case float number:
                writer.Write(6u);
                writer.Write(number);
                break;
            case bool flag:
                writer.Write(7u);
                writer.Write(flag);
                break;
            case string text:
                writer.Write(8u);
                Text(writer, text);
                break;
            case string[] texts:
                Many(writer, 8, texts, Text);
                break;
            case float[] numbers:
                Many(writer, 6, numbers, (to, number) => to.Write(number));
                break;
            case int[] numbers:
                Many(writer, 5, numbers, (to, number) => to.Write(number));
                break;
            default:
                throw new ArgumentException($"{key} has a value of the type {value.GetType().Name}", nameof(value));
        }
    }

    private static void Many<T>(BinaryWriter writer, uint type, T[] values, Action<BinaryWriter, T> write)
    {
        writer.Write(9u);
        writer.Write(type);
        writer.Write((ulong)values.Length);
        foreach (var value in values)
            write(writer, value);
    }

    private static void Text(BinaryWriter writer, string text)
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        writer.Write((ulong)bytes.Length);
        writer.Write(bytes);
    }

    private static long Padded(long length) => (length + Alignment - 1) / Alignment * Alignment;

    private static void Pad(BinaryWriter writer)
    {
        writer.Flush();
        var position = writer.BaseStream.Position;
        writer.Write(new byte[Padded(position) - position]);
        writer.Flush();
    }
}
