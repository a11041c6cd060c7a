using Falcon.Models;
using static TorchSharp.torch;

namespace Falcon.Runs.Training;

/// <summary>
/// Weighted next-token cross-entropy in float32: the sum over positions of w_t * -log p(x_t | x_&lt;t), divided by the sum of the weights.
/// </summary>
internal static class NextTokenLoss
{
    /// <summary>The loss of a batch, a scalar with gradient.</summary>
    /// <param name="model">The model in training.</param>
    /// <param name="texts">The texts of the batch.</param>
    /// <param name="promptWeight">Weight of prompt tokens; other tokens have weight 1, padding has 0.</param>
    /// <param name="padId">The padding id; any valid id will do.</param>
    public static Tensor Of(CausalLM model, IReadOnlyList<TrainingText> texts, double promptWeight, int padId)
    {
        using var scope = NewDisposeScope();
        var batch = new TokenBatch([.. texts.Select(text => text.Ids)], padId);
        using var context = model.Causal(batch.Length - 1, [.. texts.Select(text => (long)Math.Min(text.Ids.Length, batch.Length - 1))]);
        var ids = batch.InputIds(model.Device);
        var weights = tensor(Weights(texts, batch.Length - 1, promptWeight), [batch.Rows, batch.Length - 1], float32, model.Device);
        var logits = model.Logits(ids.narrow(1, 0, batch.Length - 1), context).to(float32);
        var targets = ids.narrow(1, 1, batch.Length - 1);
        var losses = nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction: nn.Reduction.None).view_as(weights);
        return ((losses * weights).sum() / weights.sum().clamp_min(1e-6)).MoveToOuterDisposeScope();
    }

    // The weight at column t belongs to the prediction of token t + 1.
    private static float[] Weights(IReadOnlyList<TrainingText> texts, int columns, double promptWeight)
    {
        var weights = new float[texts.Count * columns];
        for (var row = 0; row < texts.Count; row++)
            for (var t = 0; t < texts[row].Ids.Length - 1; t++)
                weights[row * columns + t] = t + 1 < texts[row].PromptLength ? (float)promptWeight : 1;
        return weights;
    }
}
