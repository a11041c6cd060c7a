using Falcon.Models;
using static TorchSharp.torch;

namespace Falcon.Unlearning;

/// <summary>
/// The only arithmetic that the losses need: the residual stream at the target layer, from the frozen and from the updated weights. Nothing above the
/// target runs, and all that lies before the lowest trained matrix runs once for both (docs/method.md, performance budget).
/// </summary>
public sealed class LayerPasses(CausalLM frozen, TrainedParameters trained, int target)
{
    /// <summary>The layer whose output enters the losses.</summary>
    public int Target { get; } = target;

    /// <summary>Hidden states at the target layer of the updated model, with gradient, and of the frozen one, without; both [B, T, H].</summary>
    public (Tensor Updated, Tensor Frozen) Run(TokenBatch batch, PaddingRows paddingRows = PaddingRows.Uniform)
    {
        using var scope = NewDisposeScope();
        using var context = batch.Context(frozen, paddingRows);
        var lowest = trained.LowestLayer;
        Tensor start, inner = start = null!, reference;
        using (no_grad())
        {
            start = frozen.Layers(frozen.Embed(batch.InputIds(frozen.Device)), 0, lowest - 1, context);
            if (trained.StartsAtDownProjection)
            {
                start = frozen.AttentionBlock(lowest, start, context);
                inner = frozen.DownProjectionInput(lowest, start);
            }

            reference = Suffix(frozen, start, inner, lowest, context);
        }

        var updated = Suffix(trained.Updated(frozen), start, inner, lowest, context);
        return (updated.MoveToOuterDisposeScope(), reference.MoveToOuterDisposeScope());
    }

    /// <summary>The same by two whole passes from the embedding, for comparison with <see cref="Run"/>.</summary>
    public (Tensor Updated, Tensor Frozen) RunPlainly(TokenBatch batch, PaddingRows paddingRows = PaddingRows.Uniform)
    {
        using var scope = NewDisposeScope();
        using var context = batch.Context(frozen, paddingRows);
        var ids = batch.InputIds(frozen.Device);
        Tensor reference;
        using (no_grad()) reference = frozen.HiddenStates(ids, Target, context);
        return (trained.Updated(frozen).HiddenStates(ids, Target, context).MoveToOuterDisposeScope(), reference.MoveToOuterDisposeScope());
    }

    private Tensor Suffix(CausalLM model, Tensor start, Tensor? inner, int lowest, AttentionContext context)
    {
        using var scope = NewDisposeScope();
        if (inner is null) return model.Layers(start, lowest, Target, context).MoveToOuterDisposeScope();
        var afterLowest = model.DownProjection(lowest, start, inner);
        return model.Layers(afterLowest, lowest + 1, Target, context).MoveToOuterDisposeScope();
    }
}
