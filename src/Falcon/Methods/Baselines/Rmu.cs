using Falcon.Methods.Terms;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Methods.Baselines;

/// <summary>
/// Representation misdirection: L = mean (h_f - c u)^2 + alpha mean (h_r - h_r,frozen)^2 at the target layer, u a random direction of
/// length 1, c the steering coefficient. Source: Li et al., The WMDP Benchmark (2024).
/// </summary>
/// <param name="inputs">What the method is built from.</param>
public sealed class Rmu(MethodInputs inputs) : ActivationObjective(inputs)
{
    private readonly Tensor _direction = Direction(inputs).DetachFromDisposeScope();

    /// <summary>u [H], float32, from the run's seed.</summary>
    internal static Tensor Direction(MethodInputs inputs)
    {
        using var generator = new Generator(new SeededRandom(inputs.Config.Seed, "control vector").NextUInt64(), CPU);
        return RmuLoss.ControlVector(inputs.Frozen.Config.HiddenSize, generator, inputs.Frozen.Device);
    }

    /// <inheritdoc/>
    protected override Tensor ForgetLoss(Tensor updated, Tensor frozen, StepBatch batch) =>
        RmuLoss.Compute(updated, _direction * (double)Settings.SteeringCoefficient!);

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
