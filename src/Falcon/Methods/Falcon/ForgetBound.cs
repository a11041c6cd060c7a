using Falcon.Engine;
using Falcon.Models;
using static TorchSharp.torch;

namespace Falcon.Methods.Falcon;

/// <summary>
/// Sets the point where forgetting ends: once the answer of a text is as unlikely as an answer that was never learned, the text is pushed
/// no further. Without a bound the forget loss keeps going, and the answer becomes less likely than under a model that never learned it.
/// Extension, not in the paper; the bounded objectives of preference-based unlearning (NPO, Zhang et al. 2024) have the same purpose.
/// </summary>
/// <param name="model">
/// The whole model, with the current weights of the layers above the target: the unchanged model where none of them is trained.
/// </param>
/// <param name="target">The layer whose output is given to <see cref="Weights"/>.</param>
/// <param name="width">Softness of the bound in nats, above 0.</param>
public sealed class ForgetBound(CausalLM model, int target, double width)
{
    /// <summary>Most logits in memory at a time.</summary>
    internal long MostLogits { get; init; } = MemoryDemand.LogitsAtATime;

    /// <summary>
    /// w = sigmoid( (level - loss) / width ) for each counted token, the same for all tokens of a text; loss is the mean loss of the tokens
    /// that the counted positions predict.
    /// </summary>
    /// <param name="hidden">Hidden states at the target layer under the updated model [B, T, H].</param>
    /// <param name="batch">The texts.</param>
    /// <param name="mask">Positions that count [B, T]; null for all.</param>
    /// <param name="level">The mean loss at which a text's weight is one half, in nats.</param>
    /// <returns>Float32 weights [M] in the order of the counted tokens, without gradient.</returns>
    public Tensor Weights(Tensor hidden, TokenBatch batch, Tensor? mask, double level)
    {
        using var guard = no_grad();
        using var scope = NewDisposeScope();
        using var context = batch.Context(model);
        var (device, length) = (hidden.device, batch.Length);
        var counted = mask ?? ones([batch.Rows, length], dtype: @bool, device: device);
        var losses = zeros([batch.Rows], dtype: float32, device: device);
        if (length > 1)
        {
            // A position counts here when the token after it is real.
            var predicting = counted.narrow(1, 0, length - 1).logical_and(batch.AttentionMask(device).narrow(1, 1, length - 1)); // [B, T-1]
            var top = model.Layers(hidden.detach(), target + 1, model.Config.LayerCount - 1, context).narrow(1, 0, length - 1);
            var rows = predicting.reshape(-1).nonzero().reshape(-1);
            var states = top.reshape(-1, top.shape[2]).index_select(0, rows); // [N, H]
            var next = batch.InputIds(device).narrow(1, 1, length - 1).reshape(-1).index_select(0, rows); // [N]
            var tokenLosses = TokenLosses(states, next);
            var texts = rows.div(length - 1, RoundingMode.floor);
            losses = losses.index_add(0, texts, tokenLosses, 1) / predicting.sum(1).clamp_min(1);
        }

        var weights = ((level - losses) / width).sigmoid().unsqueeze(1).expand(batch.Rows, length).reshape(-1); // [B*T]
        return weights.index_select(0, counted.reshape(-1).nonzero().reshape(-1)).MoveToOuterDisposeScope();
    }

    // -log p of the next tokens [N]. The logits of all tokens of a batch would be larger than the model where the vocabulary is large.
    private Tensor TokenLosses(Tensor states, Tensor next)
    {
        using var scope = NewDisposeScope();
        var most = Math.Max(1, MostLogits / model.Config.VocabularySize);
        List<Tensor> parts = [];
        for (var begin = 0L; begin == 0 || begin < next.shape[0]; begin += most)
        {
            using var inside = NewDisposeScope();
            var count = Math.Min(most, next.shape[0] - begin);
            var logits = model.Head(states.narrow(0, begin, count)).to(float32); // [n, V]
            var chosen = logits.gather(1, next.narrow(0, begin, count).unsqueeze(1)).squeeze(1);
            parts.Add((logits.logsumexp(1) - chosen).MoveToOuterDisposeScope());
        }

        return cat(parts).MoveToOuterDisposeScope();
    }
}
