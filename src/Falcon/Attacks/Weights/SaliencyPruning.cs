using Falcon.Attacks.Training;
using Falcon.Evaluation;
using Falcon.Models;
using static TorchSharp.torch;

namespace Falcon.Attacks.Weights;

/// <summary>
/// Importance of single weights: |W| times the sum over texts of |dL/dW|, where L is the mean cross-entropy of a text (SNIP, Lee et al.
/// 2019; with absolute values for each text as in Wei et al. 2024, arXiv 2402.05162).
/// </summary>
internal static class SaliencyPruning
{
    /// <summary>The importance of all weights of some matrices.</summary>
    /// <param name="model">The whole model.</param>
    /// <param name="names">The matrices.</param>
    /// <param name="texts">Calibration texts; each takes one backward pass.</param>
    /// <param name="cancellation">Stops between texts.</param>
    /// <returns>One float32 tensor for each name, in the shape of the matrix.</returns>
    public static Dictionary<string, Tensor> Scores(
        CausalLM model,
        IReadOnlyList<string> names,
        IReadOnlyList<ScoredSequence> texts,
        CancellationToken cancellation
    )
    {
        using var scope = NewDisposeScope();
        Tensor[] leaves = [.. names.Select(name => model.Weight(name).detach().clone().requires_grad_())];
        Tensor[] sums = [.. leaves.Select(leaf => zeros(leaf.shape, float32, model.Device))];
        var trained = model.With(names.Zip(leaves).ToDictionary(pair => pair.First, pair => pair.Second));
        foreach (var text in texts)
        {
            cancellation.ThrowIfCancellationRequested();
            using var step = NewDisposeScope();
            var gradients = autograd.grad([AnswerLoss.PerText(trained, [text], 0).sum()], leaves);
            for (var i = 0; i < leaves.Length; i++) sums[i].add_(gradients[i].to(float32).abs());
        }

        using var guard = no_grad();
        return names
            .Select((name, i) => (name, Score: (sums[i] * leaves[i].to(float32).abs()).MoveToOuterDisposeScope()))
            .ToDictionary(one => one.name, one => one.Score);
    }

    /// <summary>
    /// Weights (bool, of the matrix's shape) among the top share <paramref name="q"/> by the first scores and not among the top share
    /// <paramref name="p"/> by the second.
    /// </summary>
    public static Tensor SetDifference(Tensor first, Tensor second, double q, double p)
    {
        using var scope = NewDisposeScope();
        return Top(first, q).logical_and(Top(second, p).logical_not()).MoveToOuterDisposeScope();
    }

    private static Tensor Top(Tensor scores, double share)
    {
        using var scope = NewDisposeScope();
        var flat = scores.reshape(-1);
        var count = (int)Math.Round(share * flat.numel());
        var chosen = zeros([flat.numel()], @bool, scores.device);
        if (count > 0) chosen.index_fill_(0, flat.topk(count, sorted: false).indexes, true);
        return chosen.view(scores.shape).MoveToOuterDisposeScope();
    }
}
