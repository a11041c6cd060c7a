namespace Falcon.Checkpoints.Gguf;

/// <summary>
/// Blocks of 256 values in parts of 16 or 32, each with a small integer scale (and minimum) beside the block's float16 ones: ggml's K
/// types, with its order of float32 operations.
/// </summary>
internal static class SuperBlocks
{
    /// <summary>16 bytes of scales and minima, 64 of two-bit values, scale, minimum.</summary>
    public static void Q2_K(ReadOnlySpan<byte> block, Span<float> values)
    {
        var (scale, minimum) = (PlainBlocks.Half(block[80..]), PlainBlocks.Half(block[82..]));
        for (var part = 0; part < 16; part++)
        {
            var (dl, ml) = (scale * (block[part] & 15), minimum * (block[part] >> 4));
            var bytes = TwoBits(block[16..], part, out var shift);
            for (var i = 0; i < 16; i++)
                values[part * 16 + i] = dl * (bytes[i] >> shift & 3) - ml;
        }
    }

    /// <summary>32 bytes of third bits, 64 of two-bit values, 12 of six-bit scales, scale.</summary>
    public static void Q3_K(ReadOnlySpan<byte> block, Span<float> values)
    {
        var high = block[..32];
        var packed = block.Slice(96, 12);
        var scale = PlainBlocks.Half(block[108..]);
        for (var part = 0; part < 16; part++)
        {
            var low = part < 8 ? packed[part] & 15 : packed[part - 8] >> 4;
            var six = low | (packed[8 + part % 4] >> part / 4 * 2 & 3) << 4;
            var dl = scale * (six - 32);
            var bytes = TwoBits(block[32..], part, out var shift);
            var (from, bit) = (part % 2 * 16, part / 2);
            for (var i = 0; i < 16; i++)
                values[part * 16 + i] = dl * ((bytes[i] >> shift & 3) - ((high[from + i] >> bit & 1) == 1 ? 0 : 4));
        }
    }

    /// <summary>Scale, minimum, 12 bytes of six-bit scales and minima, 128 of halves.</summary>
    public static void Q4_K(ReadOnlySpan<byte> block, Span<float> values)
    {
        var (scale, minimum) = (PlainBlocks.Half(block), PlainBlocks.Half(block[2..]));
        for (var part = 0; part < 8; part++)
        {
            var (sc, m) = ScaleAndMinimum(block.Slice(4, 12), part);
            var (dl, ml, shift) = (scale * sc, minimum * m, part % 2 * 4);
            var halves = block.Slice(16 + part / 2 * 32, 32);
            for (var i = 0; i < 32; i++)
                values[part * 32 + i] = dl * (halves[i] >> shift & 15) - ml;
        }
    }

    /// <summary>As <see cref="Q4_K"/>, with 32 bytes of fifth bits before the halves.</summary>
    public static void Q5_K(ReadOnlySpan<byte> block, Span<float> values)
    {
        var (scale, minimum) = (PlainBlocks.Half(block), PlainBlocks.Half(block[2..]));
        var high = block.Slice(16, 32);
        for (var part = 0; part < 8; part++)
        {
            var (sc, m) = ScaleAndMinimum(block.Slice(4, 12), part);
            var (dl, ml, shift) = (scale * sc, minimum * m, part % 2 * 4);
            var halves = block.Slice(48 + part / 2 * 32, 32);
            for (var i = 0; i < 32; i++)
                values[part * 32 + i] = dl * ((halves[i] >> shift & 15) + (high[i] >> part & 1) * 16) - ml;
        }
    }

    /// <summary>128 bytes of halves, 64 of upper two bits, 16 signed scales, scale; 32 stands for 0.</summary>
    public static void Q6_K(ReadOnlySpan<byte> block, Span<float> values)
    {
        var scale = PlainBlocks.Half(block[208..]);
        for (var quarter = 0; quarter < 8; quarter++) // of 32 values
        {
            var (half, place) = (quarter / 4, quarter % 4);
            var low = block.Slice(half * 64 + place % 2 * 32, 32);
            var high = block.Slice(128 + half * 32, 32);
            for (var i = 0; i < 32; i++)
            {
                var value = (low[i] >> place / 2 * 4 & 15 | (high[i] >> place * 2 & 3) << 4) - 32;
                values[quarter * 32 + i] = scale * (sbyte)block[192 + half * 8 + place * 2 + i / 16] * value;
            }
        }
    }

    // The 16 bytes that hold a part of 16 values, and the place of its two bits in each.
    private static ReadOnlySpan<byte> TwoBits(ReadOnlySpan<byte> bytes, int part, out int shift)
    {
        shift = part % 8 / 2 * 2;
        return bytes.Slice(part / 8 * 32 + part % 2 * 16, 16);
    }

    private static (int Scale, int Minimum) ScaleAndMinimum(ReadOnlySpan<byte> packed, int part) =>
        part < 4
            ? (packed[part] & 63, packed[part + 4] & 63)
            : (packed[part + 4] & 15 | packed[part - 4] >> 6 << 4, packed[part + 4] >> 4 | packed[part] >> 6 << 4);
}
