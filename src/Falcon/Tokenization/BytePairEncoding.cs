using System.Buffers;
using System.Collections.Concurrent;
using System.Globalization;
using System.Text;

namespace Falcon.Tokenization;

/// <summary>
/// The <c>model</c> of a tokenizer.json of type BPE: encodes a word by merging pairs of tokens, the lowest rank first.
/// </summary>
internal sealed class BytePairEncoding
{
    private const int LongestCachedWord = 256;
    private const int MostCachedWords = 1 << 17;

    private readonly Dictionary<string, int> _vocabulary;
    private readonly Dictionary<int, string> _tokens;
    private readonly Dictionary<ulong, (int Rank, int Id)> _merges;
    private readonly Dictionary<int, int> _codePoints;
    private readonly int[]? _byteTokens;
    private readonly int? _unknown;
    private readonly bool _fuseUnknown;
    private readonly bool _ignoreMerges;
    private readonly ConcurrentDictionary<string, int[]> _cache = new();
    private int _cached;

    public BytePairEncoding(TokenizerSection model)
    {
        RefuseUnsupported(model);
        _vocabulary = ReadVocabulary(model["vocab"]);
        _tokens = new(_vocabulary.Count);
        foreach (var (token, id) in _vocabulary) _tokens[id] = token;
        _merges = ReadMerges(model["merges"], _vocabulary);
        _codePoints = SingleCodePoints(_vocabulary);
        _fuseUnknown = model["fuse_unk"].Flag(false);
        _ignoreMerges = model["ignore_merges"].Flag(false);
        if (model["byte_fallback"].Flag(false))
            _byteTokens =
            [
                .. Enumerable
                    .Range(0, 256)
                    .Select(value => _vocabulary.GetValueOrDefault(string.Create(CultureInfo.InvariantCulture, $"<0x{value:X2}>"), -1)),
            ];
        if (model["unk_token"].TextOrNull() is { } unknown)
            _unknown = _vocabulary.TryGetValue(unknown, out var id)
                ? id
                : throw model["unk_token"].Unsupported($"'{unknown}' is not in the vocabulary");
    }

    /// <summary>Number of tokens in the model's vocabulary, without added tokens.</summary>
    public int Count => _vocabulary.Count;

    public int HighestId => _tokens.Count == 0 ? -1 : _tokens.Keys.Max();

    public int? IdOf(string token) => _vocabulary.TryGetValue(token, out var id) ? id : null;

    public string? TokenOf(int id) => _tokens.GetValueOrDefault(id);

    /// <summary>Appends the ids of a word, in O(n log n) time for a word of length n.</summary>
    public void Encode(string word, List<int> output)
    {
        if (_ignoreMerges && _vocabulary.TryGetValue(word, out var whole))
        {
            output.Add(whole);
            return;
        }
        if (_cache.TryGetValue(word, out var ids))
        {
            output.AddRange(ids);
            return;
        }
        var start = output.Count;
        var symbols = Symbols(word);
        MergePairs(symbols, output);
        if (word.Length <= LongestCachedWord && _cached < MostCachedWords && _cache.TryAdd(word, [.. output[start..]]))
            Interlocked.Increment(ref _cached);
    }

    /// <summary>
    /// The ids of the code points, before any merge. A code point outside the vocabulary becomes bytes, the unknown token, or nothing.
    /// </summary>
    private List<int> Symbols(string word)
    {
        var symbols = new List<int>(word.Length);
        var pendingUnknown = false;
        Span<byte> utf8 = stackalloc byte[4];
        foreach (var rune in word.EnumerateRunes())
        {
            if (_codePoints.TryGetValue(rune.Value, out var id))
            {
                if (pendingUnknown) symbols.Add(_unknown!.Value);
                pendingUnknown = false;
                symbols.Add(id);
                continue;
            }
            if (_byteTokens is not null && AllBytesKnown(utf8[..rune.EncodeToUtf8(utf8)], symbols)) continue;
            if (_unknown is null) continue;
            if (pendingUnknown && !_fuseUnknown) symbols.Add(_unknown.Value);
            pendingUnknown = true;
        }
        if (pendingUnknown) symbols.Add(_unknown!.Value);
        return symbols;
    }

    private bool AllBytesKnown(ReadOnlySpan<byte> utf8, List<int> symbols)
    {
        foreach (var value in utf8)
            if (_byteTokens![value] < 0) return false;
        foreach (var value in utf8) symbols.Add(_byteTokens![value]);
        return true;
    }

    /// <summary>
    /// Merges the adjacent pair of lowest rank, leftmost first, until none is left, with a linked list of symbols and a queue of pairs.
    /// </summary>
    private void MergePairs(List<int> symbols, List<int> output)
    {
        var count = symbols.Count;
        var buffer = ArrayPool<int>.Shared.Rent(3 * count);
        var id = buffer.AsSpan(0, count);
        var previous = buffer.AsSpan(count, count);
        var next = buffer.AsSpan(2 * count, count);
        var queue = new PriorityQueue<(int Position, int Id), long>();
        for (var i = 0; i < count; i++) (id[i], previous[i], next[i]) = (symbols[i], i - 1, i + 1 < count ? i + 1 : -1);
        for (var i = 0; i + 1 < count; i++) Enqueue(id, i, i + 1);

        const int Gone = -1;
        while (queue.TryDequeue(out var merge, out _))
        {
            var left = merge.Position;
            if (id[left] == Gone || next[left] < 0) continue;
            var right = next[left];
            if (!_merges.TryGetValue(Pair(id[left], id[right]), out var current) || current.Id != merge.Id)
                continue; // overtaken by another merge
            id[left] = merge.Id;
            id[right] = Gone;
            next[left] = next[right];
            if (next[left] >= 0)
            {
                previous[next[left]] = left;
                Enqueue(id, left, next[left]);
            }
            if (previous[left] >= 0) Enqueue(id, previous[left], left);
        }
        for (var i = count == 0 ? -1 : 0; i >= 0; i = next[i]) output.Add(id[i]);
        ArrayPool<int>.Shared.Return(buffer);

        void Enqueue(ReadOnlySpan<int> id, int left, int right)
        {
            if (_merges.TryGetValue(Pair(id[left], id[right]), out var merge))
                queue.Enqueue((left, merge.Id), ((long)merge.Rank << 32) + left);
        }
    }

    // Multiplication by an odd number is one-to-one and spreads the hashes. The hash of a long is the XOR of its halves, which would be 0
    // for every pair (a, a).
    private static ulong Pair(int left, int right) => (((ulong)left << 32) | (uint)right) * 0x9E3779B97F4A7C15;

    private static void RefuseUnsupported(TokenizerSection model)
    {
        var type = model["type"].TextOrNull() ?? (model["merges"].IsNull ? "(none)" : "BPE");
        if (type != "BPE") throw model.Unsupported($"the model type '{type}' is not supported; only BPE is");
        foreach (var affix in new[] { "continuing_subword_prefix", "end_of_word_suffix" })
            if (model[affix].TextOrNull() is { Length: > 0 } text)
                throw model[affix].Unsupported($"'{text}' is not supported; only an empty one is");
        var dropout = model["dropout"];
        if (!dropout.IsNull && !(dropout.Json.ValueKind == System.Text.Json.JsonValueKind.Number && dropout.Json.GetDouble() == 0))
            throw model["dropout"].Unsupported("random merges are not supported");
    }

    private static Dictionary<string, int> ReadVocabulary(TokenizerSection section)
    {
        var vocabulary = new Dictionary<string, int>();
        foreach (var (token, id) in section.Members()) vocabulary[token] = id.Number();
        return vocabulary;
    }

    private static Dictionary<ulong, (int Rank, int Id)> ReadMerges(TokenizerSection section, Dictionary<string, int> vocabulary)
    {
        var merges = new Dictionary<ulong, (int Rank, int Id)>();
        var rank = 0;
        foreach (var item in section.Items())
        {
            var isPair = item.Json.ValueKind == System.Text.Json.JsonValueKind.Array;
            if (!isPair && item.Text().StartsWith("#version", StringComparison.Ordinal)) continue;
            var parts = isPair ? [.. item.Items().Select(part => part.Text())] : item.Text().Split(' ');
            if (parts.Length != 2) throw item.Unsupported("a merge must be two tokens");
            merges[Pair(IdIn(parts[0]), IdIn(parts[1]))] = (rank++, IdIn(parts[0] + parts[1]));

            int IdIn(string token) =>
                vocabulary.TryGetValue(token, out var id)
                    ? id
                    : throw item.Unsupported($"the token '{token}' of a merge is not in the vocabulary");
        }
        return merges;
    }

    private static Dictionary<int, int> SingleCodePoints(Dictionary<string, int> vocabulary)
    {
        var codePoints = new Dictionary<int, int>();
        foreach (var (token, id) in vocabulary)
            if (Rune.DecodeFromUtf16(token, out var rune, out var length) == OperationStatus.Done && length == token.Length)
                codePoints[rune.Value] = id;
        return codePoints;
    }
}
