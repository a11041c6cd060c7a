using System.Buffers.Binary;
using System.Text;

namespace Falcon.Checkpoints.Gguf;

/// <summary>
/// Reads the parts of a GGUF header one after the other; every length is compared with what is left before anything is made.
/// </summary>
internal sealed class GgufReader(Stream stream)
{
    private const uint Float32 = 6,
        Boolean = 7,
        String = 8,
        Array = 9,
        UInt64Type = 10,
        Float64 = 12;

    private static readonly UTF8Encoding Utf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private readonly byte[] _number = new byte[8];

    /// <summary>Where the next part stands in the file.</summary>
    public long Position => stream.Position;

    /// <summary>Bytes behind it.</summary>
    public long Left => stream.Length - stream.Position;

    public uint UInt32(string what) => BinaryPrimitives.ReadUInt32LittleEndian(Bytes(4, what));

    public ulong UInt64(string what) => BinaryPrimitives.ReadUInt64LittleEndian(Bytes(8, what));

    /// <summary>A text: its length in 8 bytes, then UTF-8.</summary>
    /// <exception cref="FormatException">It is longer than the file, or not UTF-8.</exception>
    public string Text(string what)
    {
        var (place, length) = (Position, UInt64("the length of " + what));
        if (length > (ulong)Left)
            throw new FormatException($"{what} at byte {place} has a string length of {length}, beyond the end of the file");
        var bytes = new byte[length];
        stream.ReadExactly(bytes);
        try
        {
            return Utf8.GetString(bytes);
        }
        catch (DecoderFallbackException)
        {
            throw new FormatException($"{what} at byte {place} is not UTF-8");
        }
    }

    /// <summary>A value of metadata of any type.</summary>
    /// <exception cref="FormatException">The type is unknown, or the value is longer than the file.</exception>
    public object Value(string key)
    {
        var type = UInt32("the type of " + key);
        if (type != Array)
            return Scalar(type, key);
        var (element, count) = (UInt32("the type of the elements of " + key), UInt64("the array length of " + key));
        if (element == Array)
            throw new FormatException($"{key} nests arrays, which no model needs");
        if (count > (ulong)(Left / Size(element, key)))
            throw new FormatException($"{key} has an array length of {count}, beyond the end of the file");
        return element switch
        {
            String => Many(count, () => Text(key)),
            Float32 or Float64 => Many(count, () => Convert.ToDouble(Scalar(element, key), null)),
            Boolean => Many(count, () => (bool)Scalar(element, key)),
            UInt64Type => Many(count, () => (ulong)Scalar(element, key)),
            _ => Many(count, () => Convert.ToInt64(Scalar(element, key), null)),
        };
    }

    private static T[] Many<T>(ulong count, Func<T> read)
    {
        var values = new T[count];
        for (var i = 0; i < values.Length; i++)
            values[i] = read();
        return values;
    }

    // Integers as long (ulong where they are 64 bits without sign), others as double, bool, string.
    private object Scalar(uint type, string key) =>
        type switch
        {
            0 => (long)Bytes(1, key)[0],
            1 => (long)(sbyte)Bytes(1, key)[0],
            2 => (long)BinaryPrimitives.ReadUInt16LittleEndian(Bytes(2, key)),
            3 => (long)BinaryPrimitives.ReadInt16LittleEndian(Bytes(2, key)),
            4 => (long)UInt32(key),
            5 => (long)BinaryPrimitives.ReadInt32LittleEndian(Bytes(4, key)),
            Float32 => (double)BinaryPrimitives.ReadSingleLittleEndian(Bytes(4, key)),
            Boolean => Bytes(1, key)[0] switch
            {
                0 => false,
                1 => true,
                var other => throw new FormatException($"{key} is a flag with the byte {other}; only 0 and 1 are flags"),
            },
            String => Text(key),
            UInt64Type => UInt64(key),
            11 => BinaryPrimitives.ReadInt64LittleEndian(Bytes(8, key)),
            Float64 => BinaryPrimitives.ReadDoubleLittleEndian(Bytes(8, key)),
            _ => throw new FormatException($"{key} has the unknown value type {type}"),
        };

    private static int Size(uint type, string key) =>
        type switch
        {
            0 or 1 or Boolean => 1,
            2 or 3 => 2,
            4 or 5 or Float32 => 4,
            String or UInt64Type or 11 or Float64 => 8,
            _ => throw new FormatException($"{key} has elements of the unknown value type {type}"),
        };

    private ReadOnlySpan<byte> Bytes(int count, string what)
    {
        if (Left < count)
            throw new FormatException($"the file is truncated: it ends at byte {stream.Length}, within {what}");
        stream.ReadExactly(_number, 0, count);
        return _number.AsSpan(0, count);
    }
}
