namespace Falcon.Compression;

/// <summary>
/// Number of bytes to which zlib 1.2.x compresses a text at its default level 6: the divisor of a membership-inference score.
/// .NET's own ZLibStream is zlib-ng, whose output has other lengths. Only the length is computed: matching as in zlib's lazy matcher
/// (deflate_slow, good 8, lazy 16, nice 128, chain 128, 32 KB window), block costs in <see cref="DeflateBlock"/>.
/// </summary>
internal sealed class ZlibLength
{
    private const int WindowSize = 1 << 15;
    private const int MinMatch = 3;
    private const int MaxMatch = 258;
    private const int MinLookahead = MaxMatch + MinMatch + 1;
    private const int MaxDistance = WindowSize - MinLookahead;
    private const int GoodMatch = 8;
    private const int MaxLazy = 16;
    private const int NiceMatch = 128;
    private const int MaxChain = 128;
    private const int TooFar = 4096;
    private const int HeaderAndChecksum = 2 + 4;

    private readonly byte[] _input;
    private readonly int[] _head = new int[1 << 15]; // latest position of each hash of three bytes
    private readonly int[] _previous = new int[WindowSize]; // earlier position with the same hash
    private readonly DeflateBlock _block = new();
    private int _windowStart; // zlib's window coordinate 0; a position there or before it cannot be matched
    private int _loaded; // end of what zlib has read into its window
    private int _blockStart;
    private int _matchStart;
    private long _bits;

    private ZlibLength(byte[] input)
    {
        _input = input;
        Array.Fill(_head, -1);
    }

    /// <summary>Length of <c>zlib.compress(input, 6)</c> in bytes, header and checksum included.</summary>
    public static long Of(byte[] input) => new ZlibLength(input).Run();

    private long Run()
    {
        int position = 0, matchLength = MinMatch - 1;
        var literalPending = false;
        while (true)
        {
            if (_loaded - position < MinLookahead) FillWindow(position);
            if (position == _input.Length) break;

            var candidate = position + MinMatch <= _loaded ? Insert(position) : -1;
            var (previousLength, previousStart) = (matchLength, _matchStart);
            matchLength = MinMatch - 1;
            if (candidate > _windowStart && previousLength < MaxLazy && position - candidate <= MaxDistance)
            {
                matchLength = LongestMatch(position, candidate, previousLength);
                if (matchLength == MinMatch && position - _matchStart > TooFar) matchLength = MinMatch - 1;
            }

            if (previousLength >= MinMatch && matchLength <= previousLength)
            {
                // The match found one byte earlier is at least as long: take it.
                var lastInsert = _loaded - MinMatch;
                var full = _block.AddMatch(position - 1 - previousStart, previousLength);
                var end = position - 1 + previousLength;
                while (++position < end)
                    if (position <= lastInsert) Insert(position);
                literalPending = false;
                matchLength = MinMatch - 1;
                if (full) EndBlock(position, last: false);
                continue;
            }
            if (literalPending && _block.AddLiteral(_input[position - 1])) EndBlock(position, last: false);
            literalPending = true;
            position++;
        }
        if (literalPending) _block.AddLiteral(_input[position - 1]);
        EndBlock(position, last: true);
        return ((_bits + 7) / 8) + HeaderAndChecksum;
    }

    /// <summary>
    /// zlib reads as much as its two-window buffer holds, and slides the buffer when the current position is far enough in it.
    /// </summary>
    private void FillWindow(int position)
    {
        do
        {
            if (position - _windowStart >= WindowSize + MaxDistance) _windowStart += WindowSize;
            _loaded = Math.Min(_input.Length, _windowStart + (2 * WindowSize));
        }
        while (_loaded - position < MinLookahead && _loaded < _input.Length);
    }

    private int Insert(int position)
    {
        var hash = ((_input[position] << 10) ^ (_input[position + 1] << 5) ^ _input[position + 2]) & (_head.Length - 1);
        var latest = _head[hash];
        _previous[position & (WindowSize - 1)] = latest;
        _head[hash] = position;
        return latest;
    }

    private int LongestMatch(int position, int candidate, int bestLength)
    {
        var lookahead = _loaded - position;
        var chain = bestLength >= GoodMatch ? MaxChain / 4 : MaxChain;
        var nice = Math.Min(NiceMatch, lookahead);
        var longest = Math.Min(MaxMatch, lookahead);
        var limit = Math.Max(_windowStart, position - MaxDistance);
        do
        {
            var length = 0;
            while (length < longest && _input[candidate + length] == _input[position + length]) length++;
            if (length > bestLength)
            {
                (_matchStart, bestLength) = (candidate, length);
                if (length >= nice) break;
            }
            candidate = _previous[candidate & (WindowSize - 1)];
        }
        while (candidate > limit && --chain != 0);
        return Math.Min(bestLength, lookahead);
    }

    private void EndBlock(int position, bool last)
    {
        // A block whose text has left the window cannot be stored.
        _bits = _block.End(_bits, position - _blockStart, canBeStored: _blockStart >= _windowStart);
        _blockStart = position;
        if (last) _bits = (_bits + 7) / 8 * 8;
    }
}
