using System.Buffers.Binary;

namespace Falcon.Checkpoints.Gguf;

/// <summary>Blocks whose half bytes are places in a list of levels.</summary>
internal static class LevelBlocks
{
    private static ReadOnlySpan<sbyte> Uneven => [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

    // Twice the values of a four-bit float with two exponent bits.
    private static ReadOnlySpan<sbyte> FourBitFloats => [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

    /// <summary>Scale, then 16 bytes of halves.</summary>
    public static void IQ4_NL(ReadOnlySpan<byte> block, Span<float> values) => Levels(block[2..], Uneven, PlainBlocks.Half(block), values);

    /// <summary>Scale, eight six-bit scales for 32 values each, then 128 bytes of halves.</summary>
    public static void IQ4_XS(ReadOnlySpan<byte> block, Span<float> values)
    {
        var scale = PlainBlocks.Half(block);
        var high = BinaryPrimitives.ReadUInt16LittleEndian(block[2..]);
        for (var part = 0; part < 8; part++)
        {
            var six = block[4 + part / 2] >> part % 2 * 4 & 15 | (high >> part * 2 & 3) << 4;
            Levels(block.Slice(8 + part * 16, 16), Uneven, scale * (six - 32), values.Slice(part * 32, 32));
        }
    }

    /// <summary>An exponent (half of 2^(e - 127), since the levels are doubled), then 16 bytes of halves.</summary>
    public static void MXFP4(ReadOnlySpan<byte> block, Span<float> values)
    {
        var exponent = (int)block[0];
        var scale = BitConverter.Int32BitsToSingle(exponent < 2 ? 0x00200000 << exponent : exponent - 1 << 23);
        Levels(block[1..], FourBitFloats, scale, values);
    }

    private static void Levels(ReadOnlySpan<byte> halves, ReadOnlySpan<sbyte> levels, float scale, Span<float> values)
    {
        for (var i = 0; i < 16; i++)
        {
            values[i] = scale * levels[halves[i] & 15];
            values[i + 16] = scale * levels[halves[i] >> 4];
        }
    }
}
