using Falcon.Methods.Terms;
using static TorchSharp.torch;

namespace Falcon.Methods.Baselines;

/// <summary>
/// RMU whose coefficient follows the norm of each token's own activation: L = mean (h_f - c |h_f,frozen| u)^2 + alpha mean (h_r -
/// h_r,frozen)^2, so that later layers, whose norms are larger, work too. Source: Huu-Tien et al., On Effects of Steering Latent
/// Representation for LLM Unlearning (AAAI 2025).
/// </summary>
/// <param name="inputs">What the method is built from.</param>
public sealed class AdaptiveRmu(MethodInputs inputs) : ActivationObjective(inputs)
{
    private readonly Tensor _direction = Rmu.Direction(inputs).DetachFromDisposeScope();

    /// <inheritdoc/>
    protected override Tensor ForgetLoss(Tensor updated, Tensor frozen, StepBatch batch) =>
        RmuLoss.Compute(updated, frozen.norm(1, keepdim: true) * (double)Settings.SteeringCoefficient! * _direction);

    /// <inheritdoc/>
    protected override Tensor RetainLoss(Tensor updated, Tensor frozen, StepBatch batch) =>
        RmuLoss.Compute(updated, frozen) * (double)Settings.Alpha!;

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing) _direction.Dispose();
        base.Dispose(disposing);
    }
}
