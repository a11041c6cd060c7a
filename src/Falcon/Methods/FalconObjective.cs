using Falcon.Configuration;
using Falcon.Models;
using static TorchSharp.torch;

namespace Falcon.Methods;

/// <summary>The gradients of the two losses for the trained parameters, each in the order of the parameters, in the dtype of the leaves.</summary>
/// <param name="ForgetLoss">The weighted forget loss with its penalties.</param>
/// <param name="RetainLoss">The weighted retain loss.</param>
/// <param name="Forget">Gradients of the forget loss.</param>
/// <param name="Retain">Gradients of the retain loss.</param>
/// <param name="NormRatio">Mean norm of the updated forget activations over that of the frozen ones; null where the method looks at no activations.</param>
/// <param name="Drift">How far the retain activations have turned away, mean 1 - cos; null where the method does not measure it.</param>
public sealed record ObjectiveGradients(double ForgetLoss, double RetainLoss, IReadOnlyList<Tensor> Forget, IReadOnlyList<Tensor> Retain, double? NormRatio = null, double? Drift = null);

/// <summary>
/// The two losses of FALCON at the target layer (paper, section 4.2): the contrastive loss moves the forget activations onto the principal offset vector,
/// the retention loss keeps the retain activations where they were.
/// </summary>
/// <param name="passes">The forward passes.</param>
/// <param name="trained">The matrices in training.</param>
/// <param name="settings">Temperature, negatives, penalties.</param>
/// <param name="paddingRows">What left padding attends to; matters only where padding counts.</param>
/// <param name="plainPasses">Run two whole passes instead of sharing the prefix; for comparison.</param>
public sealed class FalconObjective(LayerPasses passes, TrainedParameters trained, LossConfig settings, PaddingRows paddingRows = PaddingRows.Uniform, bool plainPasses = false)
{
    /// <summary>One forward and one backward pass for each of the two batches. The gradients belong to the caller's scope.</summary>
    /// <param name="forget">Forget texts.</param>
    /// <param name="retain">Retain texts.</param>
    /// <param name="offset">The principal offset vector [H].</param>
    /// <param name="retainWeight">Weight of the retention loss for this topic.</param>
    /// <param name="generator">Draws in-batch negatives; not used when there are none.</param>
    public ObjectiveGradients Gradients(TokenBatch forget, TokenBatch retain, Tensor offset, double retainWeight, Generator? generator = null)
    {
        using var scope = NewDisposeScope();
        var (forgetLoss, ratio) = ForgetLoss(forget, offset, generator);
        var forgetGradients = autograd.grad([forgetLoss], [.. trained.Leaves]);
        var retainLoss = RetainLoss(retain, retainWeight);
        var retainGradients = autograd.grad([retainLoss], [.. trained.Leaves]);
        return new ObjectiveGradients(
            forgetLoss.item<float>(), retainLoss.item<float>(),
            [.. forgetGradients.Select(gradient => gradient.MoveToOuterDisposeScope())], [.. retainGradients.Select(gradient => gradient.MoveToOuterDisposeScope())], ratio);
    }

    /// <summary>The logits of the contrastive loss [N, C] for a forget batch, for the curvature estimate.</summary>
    public Tensor ContrastiveLogits(TokenBatch forget, Tensor offset, Generator? generator = null)
    {
        using var scope = NewDisposeScope();
        var (updated, frozen) = Run(forget);
        return ContrastiveLoss.Logits(updated, offset, frozen, Mask(forget), settings.Temperature, settings.InBatchNegatives, generator).MoveToOuterDisposeScope();
    }

    private (Tensor Loss, double NormRatio) ForgetLoss(TokenBatch batch, Tensor offset, Generator? generator)
    {
        using var scope = NewDisposeScope();
        var (updated, frozen) = Run(batch);
        var mask = Mask(batch);
        var loss = ContrastiveLoss.Compute(updated, offset, frozen, mask, settings.Temperature, settings.InBatchNegatives, generator);
        var ratios = TokenRows.Select(updated, mask).norm(1) / TokenRows.Select(frozen, mask).norm(1).clamp_min(1e-8); // [M]
        if (settings.NormPenalty > 0) loss = loss + settings.NormPenalty * (ratios - 1).square().mean();
        return (loss.MoveToOuterDisposeScope(), ratios.detach().mean().item<float>());
    }

    private Tensor RetainLoss(TokenBatch batch, double weight)
    {
        using var scope = NewDisposeScope();
        var (updated, frozen) = Run(batch);
        var mask = Mask(batch);
        var loss = RetentionLoss.Compute(updated, frozen, mask, weight, official: settings.CountPadding);
        if (settings.RetainErrorWeight > 0)
        {
            var (u, f) = (TokenRows.Select(updated, mask), TokenRows.Select(frozen, mask));
            var error = (u - f).square().sum(1) / f.square().sum(1).clamp_min(1e-8); // [M], share of the squared norm
            loss = loss + weight * settings.RetainErrorWeight * error.mean();
        }

        return loss.MoveToOuterDisposeScope();
    }

    private (Tensor Updated, Tensor Frozen) Run(TokenBatch batch) => plainPasses ? passes.RunPlainly(batch, paddingRows) : passes.Run(batch, paddingRows);

    // null counts every position, padding included, as the published code does.
    private Tensor? Mask(TokenBatch batch) => settings.CountPadding ? null : batch.LossMask(trained.Leaves[0].device);
}
