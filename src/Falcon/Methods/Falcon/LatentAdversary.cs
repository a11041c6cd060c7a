using Falcon.Engine;
using Falcon.Models;
using Falcon.Runs.Configuration;
using static TorchSharp.torch;

namespace Falcon.Methods.Falcon;

/// <summary>
/// An attacker inside the model who climbs the contrastive loss, for where it is high the knowledge comes back: by a step within a ball for
/// every token in the residual stream that enters the lowest trained layer, or by vectors before the texts. What is forgotten under him
/// does not hang on one direction or on the exact form of the prompt. Source: latent adversarial training (Casper et al., arXiv
/// 2403.05030), here with FALCON's own loss, so that nothing above the target layer runs.
/// </summary>
internal static class LatentAdversary
{
    /// <summary>
    /// The perturbation [B, T, H] relative to each token's norm, of norm at most <see cref="LossConfig.LatentRadius"/>, found by normalised
    /// gradient ascent from zero; no gradient.
    /// </summary>
    public static Tensor Find(LayerPasses passes, TokenBatch batch, PaddingRows paddingRows, Tensor goal, Tensor? mask, LossConfig settings)
    {
        using var scope = NewDisposeScope();
        var (radius, steps) = (settings.LatentRadius, settings.LatentSteps);
        var step = steps == 1 ? radius : 2 * radius / steps;
        var found = zeros([batch.Rows, batch.Length, passes.HiddenSize], float32, passes.Device);
        for (var i = 0; i < steps; i++)
        {
            using var inner = NewDisposeScope();
            var leaf = found.detach().requires_grad_();
            var (updated, frozen) = passes.Run(batch, paddingRows, leaf);
            var loss = ContrastiveLoss.Compute(updated, goal, frozen, mask, settings.Temperature);
            using var guard = no_grad();
            var gradient = autograd.grad([loss], [leaf])[0];
            var moved = leaf + step * nn.functional.normalize(gradient, p: 2, dim: -1, eps: 1e-20);
            found = (moved * (radius / moved.norm(-1, true, 2f).clamp_min(radius))).detach().MoveToOuterDisposeScope();
        }

        return found.MoveToOuterDisposeScope();
    }

    /// <summary>
    /// A prompt [P, H] for <see cref="LayerPasses.RunBehind"/>, from states of random tokens by normalised gradient ascent; no gradient.
    /// </summary>
    public static Tensor FindPrompt(
        LayerPasses passes,
        TokenBatch batch,
        Tensor goal,
        Tensor? mask,
        LossConfig settings,
        Generator generator
    )
    {
        const double Step = 0.5; // of the mean norm
        using var scope = NewDisposeScope();
        var found = passes.RandomStates(batch, settings.PromptVectors, generator).to(float32);
        for (var i = 0; i < settings.PromptSteps; i++)
        {
            using var inner = NewDisposeScope();
            var leaf = found.detach().requires_grad_();
            var (updated, frozen) = passes.RunBehind(batch, leaf);
            var loss = ContrastiveLoss.Compute(updated, goal, frozen, mask, settings.Temperature);
            using var guard = no_grad();
            found = (leaf + Step * nn.functional.normalize(autograd.grad([loss], [leaf])[0], p: 2, dim: -1, eps: 1e-20))
                .detach()
                .MoveToOuterDisposeScope();
        }

        return found.MoveToOuterDisposeScope();
    }
}
