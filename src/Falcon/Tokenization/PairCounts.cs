namespace Falcon.Tokenization;

/// <summary>Counts the pairs of adjacent tokens in the words of a corpus and keeps the counts up to date while pairs are merged.</summary>
internal sealed class PairCounts
{
    private readonly List<int>[] _words;
    private readonly long[] _wordCounts;
    private readonly Dictionary<(int Left, int Right), long> _counts = [];
    private readonly Dictionary<(int Left, int Right), HashSet<int>> _wordsOf = [];
    private readonly PriorityQueue<((int Left, int Right) Pair, long Count), (long Count, int Left, int Right)> _queue =
        new(Comparer<(long Count, int Left, int Right)>.Create((a, b) =>
            a.Count != b.Count ? b.Count.CompareTo(a.Count) : a.Left != b.Left ? a.Left.CompareTo(b.Left) : a.Right.CompareTo(b.Right)));

    public PairCounts(IEnumerable<(int[] Tokens, long Count)> words)
    {
        var all = words.ToArray();
        _words = Array.ConvertAll(all, word => word.Tokens.ToList());
        _wordCounts = Array.ConvertAll(all, word => word.Count);
        for (var word = 0; word < _words.Length; word++)
            for (var i = 0; i + 1 < _words[word].Count; i++) Change((_words[word][i], _words[word][i + 1]), _wordCounts[word], word);
        foreach (var pair in _counts.Keys) Enqueue(pair);
    }

    /// <summary>The most frequent pair; ties go to the smallest left, then right id. Null when no pair is left.</summary>
    public (int Left, int Right)? TakeMostFrequent()
    {
        while (_queue.TryDequeue(out var best, out _))
        {
            // An entry is queued whenever a count grows. If the count has shrunk since, the entry is queued again.
            if (!_counts.TryGetValue(best.Pair, out var count) || count <= 0) continue;
            if (count == best.Count) return best.Pair;
            if (count < best.Count) Enqueue(best.Pair);
        }
        return null;
    }

    /// <summary>Replaces every occurrence of the pair by one token, from left to right.</summary>
    public void Merge(int left, int right, int merged)
    {
        var pair = (left, right);
        if (!_wordsOf.Remove(pair, out var words)) return;
        _counts.Remove(pair);
        var grown = new HashSet<(int Left, int Right)>();
        foreach (var word in words)
        {
            var tokens = _words[word];
            var count = _wordCounts[word];
            for (var i = 0; i + 1 < tokens.Count; i++)
            {
                if (tokens[i] != left || tokens[i + 1] != right) continue;
                tokens[i] = merged;
                tokens.RemoveAt(i + 1);
                if (i > 0)
                {
                    Change((tokens[i - 1], left), -count, word);
                    Change((tokens[i - 1], merged), count, word);
                    grown.Add((tokens[i - 1], merged));
                }
                if (i + 1 < tokens.Count)
                {
                    Change((right, tokens[i + 1]), -count, word);
                    Change((merged, tokens[i + 1]), count, word);
                    grown.Add((merged, tokens[i + 1]));
                }
            }
        }
        _counts.Remove(pair);
        foreach (var newPair in grown) Enqueue(newPair);
    }

    private void Change((int Left, int Right) pair, long change, int word)
    {
        _counts[pair] = _counts.GetValueOrDefault(pair) + change;
        if (change <= 0) return;
        if (!_wordsOf.TryGetValue(pair, out var words)) _wordsOf[pair] = words = [];
        words.Add(word);
    }

    private void Enqueue((int Left, int Right) pair)
    {
        if (_counts.TryGetValue(pair, out var count) && count > 0) _queue.Enqueue((pair, count), (count, pair.Left, pair.Right));
    }
}
