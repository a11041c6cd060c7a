using static TorchSharp.torch;

namespace Falcon.Methods;

/// <summary>
/// Representation rerouting: L = c_f mean relu(cos(h_f, h_f,frozen)) + c_r mean |h_r - h_r,frozen|, at step t of T with c_f = alpha (1 - t / 2T) and c_r = alpha t / 2T.
/// Source: Zou et al., Improving Alignment and Robustness with Circuit Breakers (NeurIPS 2024), there with LoRA on several layers; here on the matrices that are trained.
/// </summary>
/// <remarks>
/// Where the two models are equal the cosine has no slope and the distance a kink, so a run starts from rounding alone: in float32 with small learning rates it hardly leaves its start
/// (docs/experiments.md). The published runs compute in bfloat16.
/// </remarks>
/// <param name="inputs">What the method is built from.</param>
public sealed class CircuitBreakers(MethodInputs inputs) : ActivationObjective(inputs)
{
    private readonly int _steps = inputs.Config.Steps;

    /// <inheritdoc/>
    protected override Tensor ForgetLoss(Tensor updated, Tensor frozen, StepBatch batch) =>
        nn.functional.relu(nn.functional.cosine_similarity(updated, frozen, 1)).mean() * ((double)Settings.Alpha! * (1 - Progress(batch)));

    /// <inheritdoc/>
    protected override Tensor RetainLoss(Tensor updated, Tensor frozen, StepBatch batch) => (updated - frozen).norm(1).mean() * ((double)Settings.Alpha! * Progress(batch));

    private double Progress(StepBatch batch) => batch.Scheduled.Step / (2.0 * _steps);
}
