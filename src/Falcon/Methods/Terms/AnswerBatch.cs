using Falcon.Models;
using static TorchSharp.torch;

namespace Falcon.Methods.Terms;

/// <summary>
/// Texts whose answers are scored: the tokens of the answer have labels (in plain text: all tokens but the first), prompt and padding have
/// none.
/// </summary>
/// <param name="texts">Token ids, at least one text.</param>
/// <param name="answerFrom">For each text the position of its last prompt token; 0 for plain text.</param>
/// <param name="padId">Padding id.</param>
public sealed class AnswerBatch(IReadOnlyList<int[]> texts, IReadOnlyList<int> answerFrom, int padId)
{
    private readonly TokenBatch _tokens = new(texts, padId);

    /// <summary>Token ids of each text.</summary>
    public IReadOnlyList<int[]> Texts => texts;

    /// <summary>For each text the position of its last prompt token.</summary>
    public IReadOnlyList<int> AnswerFrom => answerFrom;

    /// <summary>Logits [B, T, V] of a model in its compute dtype.</summary>
    public Tensor Logits(CausalLM model)
    {
        using var scope = NewDisposeScope();
        using var context = _tokens.Context(model);
        return model.Logits(_tokens.InputIds(model.Device), context).MoveToOuterDisposeScope();
    }

    /// <summary>Labels [B, T] int64: the token itself in the answer, <see cref="ReferenceLosses.IgnoredLabel"/> elsewhere.</summary>
    public Tensor Labels(Device device)
    {
        var labels = new long[_tokens.Rows * _tokens.Length];
        Array.Fill(labels, ReferenceLosses.IgnoredLabel);
        for (var row = 0; row < texts.Count; row++)
            for (var t = answerFrom[row] + 1; t < texts[row].Length; t++) labels[row * _tokens.Length + t] = texts[row][t];
        return tensor(labels, [_tokens.Rows, _tokens.Length], int64, device);
    }

    /// <summary>Positions whose next token is a label [B, T], bool: those whose logits count.</summary>
    public Tensor PredictionMask(Device device)
    {
        using var scope = NewDisposeScope();
        var scored = Labels(device).ne(ReferenceLosses.IgnoredLabel);
        return cat([scored[.., 1..], zeros_like(scored[.., ..1])], 1).MoveToOuterDisposeScope();
    }

    /// <summary>Real tokens [B, T], bool.</summary>
    public Tensor AttentionMask(Device device) => _tokens.AttentionMask(device);

    /// <summary>NLL of the answers [B] float32 under a model.</summary>
    public Tensor Nll(CausalLM model)
    {
        using var scope = NewDisposeScope();
        return ReferenceLosses.SequenceNll(Logits(model), Labels(model.Device)).MoveToOuterDisposeScope();
    }

    /// <summary>CE of the answers' tokens under a model, a float32 scalar.</summary>
    public Tensor MeanNll(CausalLM model)
    {
        using var scope = NewDisposeScope();
        return ReferenceLosses.MeanNll(Logits(model), Labels(model.Device)).MoveToOuterDisposeScope();
    }
}
