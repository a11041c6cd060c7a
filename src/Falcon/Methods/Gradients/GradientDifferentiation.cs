using Falcon.Engine;
using Falcon.Models;
using static TorchSharp.torch;

namespace Falcon.Methods.Gradients;

/// <summary>Differentiates a loss of a batch, whole or part by part.</summary>
/// <param name="trained">The parameters.</param>
/// <param name="microBatchTokens">Padded tokens of a part; 0 for whole batches.</param>
internal sealed class GradientDifferentiation(TrainedParameters trained, int microBatchTokens)
{
    /// <summary>
    /// Loss and gradients of a batch. Losses are means over counted tokens, so the loss of a batch is the mean of the losses of its parts,
    /// weighted by their counted tokens. The same holds for the gradients, which are added up in float32.
    /// </summary>
    /// <param name="batch">The texts.</param>
    /// <param name="through">The highest layer that the loss passes; <see cref="WeightNames.AboveLayers"/> for all.</param>
    /// <param name="compute">The loss of a part, a float32 scalar; null where there is none.</param>
    public (double Loss, IReadOnlyList<Tensor> Gradients) Accumulate(TokenBatch batch, int through, Func<TokenBatch, Tensor?> compute)
    {
        using var scope = NewDisposeScope();
        var parts = batch.Split(microBatchTokens);
        if (parts.Count == 1)
        {
            var whole = compute(batch);
            var gradients = Differentiate(whole, through);
            return (whole?.item<float>() ?? 0, [.. gradients.Select(gradient => gradient.MoveToOuterDisposeScope())]);
        }

        List<Tensor> sums = [];
        double loss = 0;
        foreach (var part in parts.Where(part => part.CountedTokens > 0))
        {
            using var inner = NewDisposeScope();
            var share = (double)part.CountedTokens / batch.CountedTokens;
            var partLoss = compute(part);
            var gradients = Differentiate(partLoss, through);
            if (sums.Count == 0) sums.AddRange(gradients.Select(gradient => zeros_like(gradient, float32).MoveToOuterDisposeScope()));
            for (var i = 0; i < sums.Count; i++) sums[i].add_(gradients[i], alpha: share);
            loss += share * (partLoss?.item<float>() ?? 0);
        }

        return (loss, [.. sums.Select(sum => sum.MoveToOuterDisposeScope())]);
    }

    /// <summary>Gradients of all leaves; zero for leaves that the loss does not reach, and for all leaves where there is no loss.</summary>
    /// <param name="loss">A float32 scalar with a graph to the leaves; null for none.</param>
    /// <param name="through">
    /// The highest layer that the loss passes; gradients above it are zero. The embedding has one only with
    /// <see cref="WeightNames.AboveLayers"/>.
    /// </param>
    public List<Tensor> Differentiate(Tensor? loss, int through)
    {
        if (loss is null) return [.. trained.Leaves.Select(leaf => zeros_like(leaf.detach()))];
        var all = through == WeightNames.AboveLayers;
        var reached = trained
            .Names.Select(name => TrainedParameters.LayerOf(name) <= through && (all || !WeightNames.IsEmbedding(name)))
            .ToList();
        var leaves = trained.Leaves.Zip(reached).Where(pair => pair.Second).Select(pair => pair.First);
        var found = new Queue<Tensor>(autograd.grad([loss], [.. leaves]));
        return [.. trained.Leaves.Zip(reached, (leaf, isReached) => isReached ? found.Dequeue() : zeros_like(leaf.detach()))];
    }
}
