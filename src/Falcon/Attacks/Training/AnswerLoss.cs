using Falcon.Evaluation;
using Falcon.Models;
using static TorchSharp.torch;

namespace Falcon.Attacks.Training;

/// <summary>
/// Cross-entropy of the scored tokens of texts, with gradient: the loss that attacks minimise when they optimise or train.
/// </summary>
internal static class AnswerLoss
{
    /// <summary>Mean of -log p over the scored tokens of each text [B], float32.</summary>
    /// <param name="model">The whole model.</param>
    /// <param name="hidden">Residual stream [B, T, H] after the last layer, right-padded.</param>
    /// <param name="rows">The texts of the rows; the model was given all their tokens but the last, or all of them.</param>
    public static Tensor PerText(CausalLM model, Tensor hidden, IReadOnlyList<ScoredSequence> rows)
    {
        using var scope = NewDisposeScope();
        var scored = rows.Sum(row => row.ScoredCount);
        var (positions, targets, weights) = (new long[scored], new long[scored], new float[rows.Count * scored]);
        var next = 0;
        for (var row = 0; row < rows.Count; row++)
            for (var t = rows[row].Start; t < rows[row].Tokens.Length; t++, next++)
            {
                (positions[next], targets[next]) = (row * hidden.shape[1] + t - 1, rows[row].Tokens[t]);
                weights[row * scored + next] = 1f / rows[row].ScoredCount;
            }

        var predicting = hidden.reshape(-1, hidden.shape[2]).index_select(0, tensor(positions, int64, model.Device)); // [N, H]
        var losses = nn.functional.cross_entropy(
            model.Head(predicting).to(float32),
            tensor(targets, int64, model.Device),
            reduction: nn.Reduction.None
        ); // [N]
        return tensor(weights, [rows.Count, scored], float32, model.Device).matmul(losses).MoveToOuterDisposeScope();
    }

    /// <summary>The same, with the forward pass.</summary>
    public static Tensor PerText(CausalLM model, IReadOnlyList<ScoredSequence> rows, int padId)
    {
        using var scope = NewDisposeScope();
        var batch = new TokenBatch([.. rows.Select(row => row.Tokens[..^1])], padId);
        using var context = model.Causal(batch.Length);
        var hidden = model.Layers(model.Embed(batch.InputIds(model.Device)), 0, model.Config.LayerCount - 1, context);
        return PerText(model, hidden, rows).MoveToOuterDisposeScope();
    }
}
