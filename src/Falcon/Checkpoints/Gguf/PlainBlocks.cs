using System.Buffers.Binary;

namespace Falcon.Checkpoints.Gguf;

/// <summary>
/// Blocks with one scale for all their values (ggml's legacy types and plain numbers). The float32 operations are those of ggml, one
/// product and one sum, so that the values are the same to the last bit.
/// </summary>
internal static class PlainBlocks
{
    public static void F32(ReadOnlySpan<byte> block, Span<float> values) => values[0] = BinaryPrimitives.ReadSingleLittleEndian(block);

    public static void F16(ReadOnlySpan<byte> block, Span<float> values) => values[0] = Half(block);

    public static void BF16(ReadOnlySpan<byte> block, Span<float> values) =>
        values[0] = BitConverter.UInt32BitsToSingle((uint)BinaryPrimitives.ReadUInt16LittleEndian(block) << 16);

    /// <summary>Scale, then 32 signed bytes.</summary>
    public static void Q8_0(ReadOnlySpan<byte> block, Span<float> values)
    {
        var scale = Half(block);
        for (var i = 0; i < 32; i++)
            values[i] = scale * (sbyte)block[2 + i];
    }

    /// <summary>Scale, then 16 bytes: the low halves are values 0 to 15, the high halves 16 to 31; 8 stands for 0.</summary>
    public static void Q4_0(ReadOnlySpan<byte> block, Span<float> values)
    {
        var scale = Half(block);
        for (var i = 0; i < 16; i++)
        {
            values[i] = ((block[2 + i] & 15) - 8) * scale;
            values[i + 16] = ((block[2 + i] >> 4) - 8) * scale;
        }
    }

    /// <summary>Scale and minimum, then 16 bytes of halves.</summary>
    public static void Q4_1(ReadOnlySpan<byte> block, Span<float> values)
    {
        var (scale, minimum) = (Half(block), Half(block[2..]));
        for (var i = 0; i < 16; i++)
        {
            values[i] = (block[4 + i] & 15) * scale + minimum;
            values[i + 16] = (block[4 + i] >> 4) * scale + minimum;
        }
    }

    /// <summary>Scale, 32 fifth bits, then 16 bytes of halves; 16 stands for 0.</summary>
    public static void Q5_0(ReadOnlySpan<byte> block, Span<float> values)
    {
        var scale = Half(block);
        var high = BinaryPrimitives.ReadUInt32LittleEndian(block[2..]);
        for (var i = 0; i < 16; i++)
        {
            values[i] = (FiveBits(block[6 + i] & 15, high, i) - 16) * scale;
            values[i + 16] = (FiveBits(block[6 + i] >> 4, high, i + 16) - 16) * scale;
        }
    }

    /// <summary>Scale and minimum, 32 fifth bits, then 16 bytes of halves.</summary>
    public static void Q5_1(ReadOnlySpan<byte> block, Span<float> values)
    {
        var (scale, minimum) = (Half(block), Half(block[2..]));
        var high = BinaryPrimitives.ReadUInt32LittleEndian(block[4..]);
        for (var i = 0; i < 16; i++)
        {
            values[i] = FiveBits(block[8 + i] & 15, high, i) * scale + minimum;
            values[i + 16] = FiveBits(block[8 + i] >> 4, high, i + 16) * scale + minimum;
        }
    }

    /// <summary>A float16 at the start of a span.</summary>
    internal static float Half(ReadOnlySpan<byte> bytes) => (float)BinaryPrimitives.ReadHalfLittleEndian(bytes);

    private static int FiveBits(int low, uint high, int place) => low | (int)(high >> place & 1) << 4;
}
