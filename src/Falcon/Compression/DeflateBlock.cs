namespace Falcon.Compression;

/// <summary>
/// Counts the symbols of one deflate block and computes its size as zlib writes it: stored, with fixed codes, or with Huffman codes of its
/// own, whichever zlib takes.
/// </summary>
internal sealed class DeflateBlock
{
    private const int SymbolsPerBlock = (1 << 14) - 1;
    private const int EndOfBlock = 256;
    private const int FirstLength = 257;
    private const int BlockHeaderBits = 3;

    private static readonly int[] LengthExtra = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
    private static readonly int[] DistanceExtra =
        [0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13];

    private static readonly int[] RepeatExtra = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 3, 7];
    private static readonly int[] RepeatOrder = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
    private static readonly int[] LengthCodes = CodesOf(LengthExtra[..^1], 256);
    private static readonly int[] DistanceCodes = CodesOf(DistanceExtra, 1 << 15);

    private readonly int[] _literals = new int[286];
    private readonly int[] _distances = new int[30];
    private int _symbols;

    /// <summary>Adds one byte; true when the block is full and must be ended.</summary>
    public bool AddLiteral(byte value)
    {
        _literals[value]++;
        return ++_symbols == SymbolsPerBlock;
    }

    /// <summary>
    /// Adds a match of <paramref name="length"/> bytes, <paramref name="distance"/> bytes back; true when the block is full and must be
    /// ended.
    /// </summary>
    public bool AddMatch(int distance, int length)
    {
        _literals[FirstLength + (length == 258 ? LengthExtra.Length - 1 : LengthCodes[length - 3])]++;
        _distances[DistanceCodes[distance - 1]]++;
        return ++_symbols == SymbolsPerBlock;
    }

    /// <summary>Ends the block and starts an empty one.</summary>
    /// <param name="bits">Bits written before this block.</param>
    /// <param name="storedLength">Bytes of text that the block stands for.</param>
    /// <param name="canBeStored">Whether zlib still holds that text.</param>
    /// <returns>Bits written after this block.</returns>
    public long End(long bits, int storedLength, bool canBeStored)
    {
        _literals[EndOfBlock]++;
        var literalTree = HuffmanTree.Build(_literals, 15);
        var distanceTree = HuffmanTree.Build(_distances, 15);
        var repeatTree = HuffmanTree.Build(Repeats(literalTree, distanceTree), 7);
        var sentRepeats = RepeatOrder.Length;
        while (sentRepeats > 4 && repeatTree.Lengths[RepeatOrder[sentRepeats - 1]] == 0) sentRepeats--;

        var dynamicBits =
            Cost(_literals, literalTree.Lengths, FirstLength, LengthExtra)
            + Cost(_distances, distanceTree.Lengths, 0, DistanceExtra)
            + Cost(repeatTree.Frequencies, repeatTree.Lengths, 0, RepeatExtra)
            + (3 * sentRepeats)
            + 5
            + 5
            + 4;
        var fixedBits =
            Cost(_literals, FixedLiteralLengths, FirstLength, LengthExtra) + Cost(_distances, FixedDistanceLengths, 0, DistanceExtra);
        var fixedBytes = (fixedBits + 3 + 7) / 8;
        var bestBytes = Math.Min(fixedBytes, (dynamicBits + 3 + 7) / 8);

        Array.Clear(_literals);
        Array.Clear(_distances);
        _symbols = 0;
        bits += BlockHeaderBits;
        if (canBeStored && storedLength + 4 <= bestBytes) return ((bits + 7) / 8 * 8) + (8L * (4 + storedLength));
        return bits + (fixedBytes == bestBytes ? fixedBits : dynamicBits);
    }

    private static int[] FixedLiteralLengths { get; } =
        [.. Enumerable.Range(0, 286).Select(symbol => symbol switch { < 144 => 8, < 256 => 9, < 280 => 7, _ => 8 })];

    private static int[] FixedDistanceLengths { get; } = [.. Enumerable.Repeat(5, 30)];

    private static long Cost(int[] frequencies, int[] lengths, int firstWithExtra, int[] extra)
    {
        var bits = 0L;
        for (var symbol = 0; symbol < frequencies.Length; symbol++)
            bits += frequencies[symbol] * (long)(lengths[symbol] + (symbol >= firstWithExtra ? extra[symbol - firstWithExtra] : 0));
        return bits;
    }

    /// <summary>How often each symbol of the run-length code occurs when both trees' code lengths are sent.</summary>
    private static int[] Repeats(HuffmanTree literalTree, HuffmanTree distanceTree)
    {
        var frequencies = new int[RepeatExtra.Length];
        foreach (var tree in new[] { literalTree, distanceTree })
        {
            for (var start = 0; start <= tree.LastSymbol;)
            {
                var length = tree.Lengths[start];
                // The first length of a run is sent as itself, unless it is 0.
                var first = length == 0 ? 0 : 1;
                var end = start;
                while (end <= tree.LastSymbol && tree.Lengths[end] == length) end++;
                frequencies[length] += first;
                for (var left = end - start - first; left > 0;)
                {
                    var taken = Math.Min(left, length == 0 ? 138 : 6);
                    if (taken < 3) frequencies[length] += taken;
                    else frequencies[length != 0 ? 16 : taken <= 10 ? 17 : 18]++;
                    left -= taken;
                }
                start = end;
            }
        }
        return frequencies;
    }

    /// <summary>Code of each value when code c covers 2^extra[c] values one after the other.</summary>
    private static int[] CodesOf(int[] extra, int count)
    {
        var codes = new int[count];
        var value = 0;
        for (var code = 0; code < extra.Length; code++)
            for (var i = 0; i < 1 << extra[code] && value < count; i++) codes[value++] = code;
        return codes;
    }
}
