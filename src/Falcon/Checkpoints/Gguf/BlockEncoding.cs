using System.Buffers.Binary;
using Falcon.Checkpoints.Safetensors;

namespace Falcon.Checkpoints.Gguf;

/// <summary>
/// Writes float32 numbers as the blocks of F32, F16, BF16 and Q8_0, bit for bit as ggml does it.
/// </summary>
internal static class BlockEncoding
{
    private const int Values = 32,
        Bytes = 34;

    /// <summary>Writes whole blocks.</summary>
    /// <param name="type">F32, F16, BF16 or Q8_0.</param>
    /// <param name="values">Finite numbers that fill whole blocks.</param>
    /// <param name="bytes">Room for the blocks.</param>
    /// <exception cref="OverflowException">A number is too large for the type.</exception>
    /// <exception cref="ArgumentException">The type is none of those that are written.</exception>
    public static void Encode(GgufType type, ReadOnlySpan<float> values, Span<byte> bytes)
    {
        switch (type.Name)
        {
            case "F32":
                for (var i = 0; i < values.Length; i++)
                    BinaryPrimitives.WriteSingleLittleEndian(bytes[(i * 4)..], values[i]);
                break;
            case "F16":
                for (var i = 0; i < values.Length; i++)
                    BinaryPrimitives.WriteHalfLittleEndian(bytes[(i * 2)..], ToHalf(values[i], values[i]));
                break;
            case "BF16":
                for (var i = 0; i < values.Length; i++)
                    BinaryPrimitives.WriteUInt16LittleEndian(bytes[(i * 2)..], TensorBytes.NearestBfloat16(values[i]));
                break;
            case "Q8_0":
                for (var block = 0; block < values.Length / Values; block++)
                    Q8_0(values.Slice(block * Values, Values), bytes.Slice(block * Bytes, Bytes));
                break;
            default:
                throw new ArgumentException($"{type.Name} is not written", nameof(type));
        }
    }

    // Rounded with the scale before it becomes a half, halves away from zero.
    private static void Q8_0(ReadOnlySpan<float> values, Span<byte> block)
    {
        var largest = 0f;
        foreach (var value in values)
            largest = MathF.Max(largest, MathF.Abs(value));
        var scale = largest / 127;
        // Below 3e-39 the inverse is infinite, and all that ggml then writes is zeros.
        var inverse = scale != 0 && float.IsFinite(1 / scale) ? 1 / scale : 0;
        BinaryPrimitives.WriteHalfLittleEndian(block, ToHalf(scale, largest));
        for (var i = 0; i < Values; i++)
            block[2 + i] = (byte)(sbyte)MathF.Round(values[i] * inverse, MidpointRounding.AwayFromZero);
    }

    private static Half ToHalf(float number, float shown)
    {
        var half = (Half)number;
        return Half.IsInfinity(half)
            ? throw new OverflowException(string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{shown:G4}"))
            : half;
    }
}
