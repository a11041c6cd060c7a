using System.Collections.Frozen;

namespace Falcon.Checkpoints.Safetensors;

/// <summary>The element types of the safetensors format, in the format's own order (narrow to wide), with their widths.</summary>
internal static class SafetensorsDType
{
    private static readonly (string Name, int Bits)[] Ascending =
    [
        ("BOOL", 8), ("F4", 4), ("F6_E2M3", 6), ("F6_E3M2", 6), ("U8", 8), ("I8", 8), ("F8_E5M2", 8), ("F8_E4M3", 8), ("F8_E8M0", 8),
        ("F8_E4M3FNUZ", 8), ("F8_E5M2FNUZ", 8), ("I16", 16), ("U16", 16), ("F16", 16), ("BF16", 16), ("I32", 32), ("U32", 32),
        ("F32", 32), ("C64", 64), ("F64", 64), ("I64", 64), ("U64", 64),
    ];

    private static readonly FrozenDictionary<string, int> Ranks = Ascending
        .Select((dtype, rank) => (dtype.Name, rank))
        .ToFrozenDictionary(pair => pair.Name, pair => pair.rank, StringComparer.Ordinal);

    /// <summary>The position in the format's list, by which writers sort in descending order; false for an unknown name.</summary>
    public static bool TryGetRank(string dtype, out int rank) => Ranks.TryGetValue(dtype, out rank);

    /// <summary>
    /// Bytes of a tensor: the product of the dimensions, taken left to right, times the bits of an element, divided by 8. Null, with the
    /// reason, when the dtype is unknown, the product does not fit 64 bits, or the bits do not fill whole bytes.
    /// </summary>
    public static ulong? ByteLength(string dtype, ReadOnlySpan<long> shape, out string reason)
    {
        reason = "";
        if (!TryGetRank(dtype, out var rank))
        {
            reason = $"unknown dtype '{dtype}'";
            return null;
        }
        var bits = 1UL;
        try
        {
            foreach (var dimension in shape) bits = checked(bits * (ulong)dimension);
            bits = checked(bits * (ulong)Ascending[rank].Bits);
        }
        catch (OverflowException)
        {
            reason = "the size computed from its shape does not fit 64 bits";
            return null;
        }
        if (bits % 8 == 0) return bits / 8;
        reason = $"{bits} bits do not fill whole bytes";
        return null;
    }
}
