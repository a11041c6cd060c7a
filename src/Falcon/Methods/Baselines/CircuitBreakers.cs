using Falcon.Methods.Terms;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Methods.Baselines;

/// <summary>
/// Representation rerouting: L = c_f mean relu(cos(h_f, h_f,frozen)) + c_r mean |h_r - h_r,frozen|, at step t of T with c_f = alpha (1 - t
/// / 2T) and c_r = alpha t / 2T. Source: Zou et al., Improving Alignment and Robustness with Circuit Breakers (NeurIPS 2024), there with
/// LoRA on several layers; here on the matrices that are trained.
/// </summary>
/// <remarks>
/// Where the two models are equal the cosine has no slope and the distance a kink, so in exact arithmetic a run would never leave its
/// start. The published runs leave it by the dropout inside LoRA and the rounding of bfloat16; here the trained matrices begin with
/// Gaussian noise of a thousandth of their root mean square.
/// </remarks>
public sealed class CircuitBreakers : ActivationObjective
{
    private const double StartNoise = 1e-3;

    private readonly int _steps;

    /// <summary>Prepares the run: puts the noise on the trained matrices.</summary>
    /// <param name="inputs">What the method is built from.</param>
    public CircuitBreakers(MethodInputs inputs) : base(inputs)
    {
        _steps = inputs.Config.Steps;
        using var guard = no_grad();
        using var generator = new Generator(new SeededRandom(inputs.Config.Seed, "start noise").NextUInt64(), CPU);
        for (var i = 0; i < inputs.Trained.Names.Count; i++)
        {
            using var scope = NewDisposeScope();
            var weight = inputs.Trained.Masters[i].Whole();
            var noise = randn(weight.shape, dtype: float32, generator: generator).to(weight.device);
            inputs.Trained.Load(i, weight + noise * (StartNoise * weight.square().mean().sqrt().item<float>()));
        }
    }

    /// <inheritdoc/>
    protected override Tensor ForgetLoss(Tensor updated, Tensor frozen, StepBatch batch) =>
        nn.functional.relu(nn.functional.cosine_similarity(updated, frozen, 1)).mean() * ((double)Settings.Alpha! * (1 - Progress(batch)));

    /// <inheritdoc/>
    protected override Tensor RetainLoss(Tensor updated, Tensor frozen, StepBatch batch) =>
        (updated - frozen).norm(1).mean() * ((double)Settings.Alpha! * Progress(batch));

    private double Progress(StepBatch batch) => batch.Scheduled.Step / (2.0 * _steps);
}
