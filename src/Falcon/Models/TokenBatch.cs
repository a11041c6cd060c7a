using static TorchSharp.torch;

namespace Falcon.Models;

/// <summary>On which side short sequences are padded.</summary>
public enum PaddingSide
{
    /// <summary>After the tokens: causal attention then needs no mask.</summary>
    Right,

    /// <summary>Before the tokens, as in FALCON's published code and in generation.</summary>
    Left,
}

/// <summary>Token sequences padded to one length. Holds arrays; tensors are made on demand.</summary>
public sealed class TokenBatch
{
    private readonly long[] _ids;
    private readonly bool[] _real;
    private readonly bool[]? _counted;
    private readonly IReadOnlyList<int>? _countFrom;
    private readonly int _padId;

    /// <summary>Pads sequences to the longest of them.</summary>
    /// <param name="sequences">At least one sequence; none empty.</param>
    /// <param name="padId">The padding id; it is masked, so any valid id will do.</param>
    /// <param name="side">Where the padding goes.</param>
    /// <param name="countFrom">The first position of each sequence that counts in a loss; null when all tokens count.</param>
    /// <exception cref="ArgumentException">No sequence, or an empty one.</exception>
    public TokenBatch(IReadOnlyList<int[]> sequences, int padId, PaddingSide side = PaddingSide.Right, IReadOnlyList<int>? countFrom = null)
    {
        if (sequences.Count == 0 || sequences.Any(sequence => sequence.Length == 0))
            throw new ArgumentException("A batch needs at least one sequence, and no empty one.", nameof(sequences));
        Sequences = sequences;
        (_countFrom, _padId) = (countFrom, padId);
        (Rows, Length, Side) = (sequences.Count, sequences.Max(sequence => sequence.Length), side);
        _ids = new long[Rows * Length];
        _real = new bool[Rows * Length];
        _counted = countFrom is null ? null : new bool[Rows * Length];
        Array.Fill(_ids, padId);
        for (var row = 0; row < Rows; row++)
        {
            var sequence = sequences[row];
            var start = row * Length + (side == PaddingSide.Left ? Length - sequence.Length : 0);
            for (var i = 0; i < sequence.Length; i++)
            {
                (_ids[start + i], _real[start + i]) = (sequence[i], true);
                if (_counted is not null) _counted[start + i] = i >= countFrom![row];
            }
        }

        TokenCount = sequences.Sum(sequence => sequence.Length);
        CountedTokens = _counted?.Count(counted => counted) ?? TokenCount;
    }

    /// <summary>The sequences without padding.</summary>
    public IReadOnlyList<int[]> Sequences { get; }

    /// <summary>Number of sequences (B).</summary>
    public int Rows { get; }

    /// <summary>Padded length (T).</summary>
    public int Length { get; }

    /// <summary>Number of real tokens.</summary>
    public int TokenCount { get; }

    /// <summary>Number of tokens that count in a loss.</summary>
    public int CountedTokens { get; }

    /// <summary>Where the padding is.</summary>
    public PaddingSide Side { get; }

    /// <summary>Whether any sequence is padded.</summary>
    public bool IsPadded => TokenCount < Rows * Length;

    /// <summary>
    /// Splits the batch into parts of sequences of similar length, each of at most <paramref name="tokens"/> padded tokens or of a single
    /// sequence; returns the batch itself when one part suffices.
    /// </summary>
    /// <param name="tokens">Most tokens of a part, padding included; 0 for no limit.</param>
    public IReadOnlyList<TokenBatch> Split(int tokens)
    {
        if (tokens == 0 || Rows * Length <= tokens || Rows == 1) return [this];
        List<TokenBatch> parts = [];
        var order = Enumerable.Range(0, Rows).OrderBy(row => Sequences[row].Length).ThenBy(row => row).ToArray();
        for (var begin = 0; begin < Rows; begin += parts[^1].Rows)
        {
            var end = begin + 1;
            while (end < Rows && (end - begin + 1) * Sequences[order[end]].Length <= tokens)
                end++;
            var rows = order[begin..end];
            int[]? countFrom = _countFrom is null ? null : [.. rows.Select(row => _countFrom[row])];
            parts.Add(new TokenBatch([.. rows.Select(row => Sequences[row])], _padId, Side, countFrom));
        }

        return parts;
    }

    /// <summary>Token ids [B, T], int64.</summary>
    public Tensor InputIds(Device device) => tensor(_ids, [Rows, Length], int64, device);

    /// <summary>The attention mask [B, T], bool, true for real tokens.</summary>
    public Tensor AttentionMask(Device device) => tensor(_real, [Rows, Length], @bool, device);

    /// <summary>The loss mask [B, T], bool, true for tokens that count; null when every position counts.</summary>
    public Tensor? LossMask(Device device) =>
        _counted is not null ? tensor(_counted, [Rows, Length], @bool, device)
        : IsPadded ? AttentionMask(device)
        : null;

    /// <summary>The attention context that fits the padding side.</summary>
    public AttentionContext Context(CausalLM model, PaddingRows paddingRows = PaddingRows.Uniform)
    {
        if (Side == PaddingSide.Right || !IsPadded) return model.Causal(Length, [.. Sequences.Select(sequence => (long)sequence.Length)]);
        using var mask = AttentionMask(model.Device);
        return model.LeftPadded(mask, paddingRows);
    }
}
