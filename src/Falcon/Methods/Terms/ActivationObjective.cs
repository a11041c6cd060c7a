using Falcon.Engine;
using Falcon.Methods.Falcon;
using Falcon.Models;
using Falcon.Runs.Configuration;
using static TorchSharp.torch;

namespace Falcon.Methods.Terms;

/// <summary>
/// A method whose losses are made of hidden states at the target layer, of the updated and the frozen model; nothing above that layer runs.
/// Padding never counts.
/// </summary>
/// <param name="inputs">What the method is built from.</param>
public abstract class ActivationObjective(MethodInputs inputs) : Objective
{
    private readonly LayerPasses _passes = inputs.Passes();

    /// <summary>The hyper-parameters of the method.</summary>
    protected MethodConfig Settings => inputs.Config.HyperParameters;

    /// <inheritdoc/>
    public sealed override ObjectiveGradients Gradients(StepBatch batch)
    {
        using var scope = NewDisposeScope();
        var (forgetLoss, forget, ratio) = OfForget(batch);
        var (retainLoss, retain) = OfRetain(batch);
        return new ObjectiveGradients(
            forgetLoss,
            retainLoss,
            [.. forget.Select(g => g.MoveToOuterDisposeScope())],
            [.. retain.Select(g => g.MoveToOuterDisposeScope())],
            ratio
        );
    }

    /// <summary>The weighted forget loss, a float32 scalar. Runs in a scope that takes all intermediate tensors.</summary>
    /// <param name="updated">Hidden states of the model in training, the tokens that count [M, H] float32.</param>
    /// <param name="frozen">The same of the unchanged model.</param>
    /// <param name="batch">The texts of the step.</param>
    protected abstract Tensor ForgetLoss(Tensor updated, Tensor frozen, StepBatch batch);

    /// <summary>The weighted retain loss, in the same form.</summary>
    /// <param name="updated">Hidden states of the model in training, the real tokens [M, H] float32.</param>
    /// <param name="frozen">The same of the unchanged model.</param>
    /// <param name="batch">The texts of the step.</param>
    protected abstract Tensor RetainLoss(Tensor updated, Tensor frozen, StepBatch batch);

    private (double Loss, IReadOnlyList<Tensor> Gradients, double NormRatio) OfForget(StepBatch batch)
    {
        using var scope = NewDisposeScope();
        var (updated, frozen) = Rows(batch.Forget);
        var ratio = (updated.detach().norm(1) / frozen.norm(1).clamp_min(1e-8)).mean().item<float>();
        var (loss, gradients) = Differentiate(ForgetLoss(updated, frozen, batch), inputs.Trained);
        return (loss, [.. gradients.Select(gradient => gradient.MoveToOuterDisposeScope())], ratio);
    }

    private (double Loss, IReadOnlyList<Tensor> Gradients) OfRetain(StepBatch batch)
    {
        using var scope = NewDisposeScope();
        var (updated, frozen) = Rows(batch.Retain);
        var (loss, gradients) = Differentiate(RetainLoss(updated, frozen, batch), inputs.Trained);
        return (loss, [.. gradients.Select(gradient => gradient.MoveToOuterDisposeScope())]);
    }

    private (Tensor Updated, Tensor Frozen) Rows(TokenBatch texts)
    {
        using var scope = NewDisposeScope();
        var (updated, frozen) = inputs.Config.Engine.Path == EnginePath.Plain ? _passes.RunPlainly(texts) : _passes.Run(texts);
        var mask = texts.LossMask(inputs.Frozen.Device);
        return (TokenRows.Select(updated, mask).MoveToOuterDisposeScope(), TokenRows.Select(frozen, mask).MoveToOuterDisposeScope());
    }
}
