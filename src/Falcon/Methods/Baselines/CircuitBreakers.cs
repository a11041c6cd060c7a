using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;
using Falcon.Data;
using Falcon.Engine;
using Falcon.Methods.Terms;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Methods.Baselines;

/// <summary>
/// <c>rerouting</c>: weight (1 - t / 2T) mean relu(cos(h_f, h_f,frozen)) at step t of T: hidden states of forget texts turn away from the
/// frozen ones.
/// </summary>
/// <remarks>
/// Where the two models are equal, the gradient of the cosine is zero, so in exact arithmetic a run would never leave its start. The
/// published runs leave it through the dropout inside LoRA and the rounding of bfloat16. Here Gaussian noise of a thousandth of their root
/// mean square is added to the trained matrices before the first step.
/// </remarks>
public sealed record Rerouting : ForgetTerm
{
    private const double StartNoise = 1e-3;

    /// <summary>Weight of the loss ("alpha").</summary>
    [Range(0, double.MaxValue)]
    public double Weight { get; init; } = 10;

    /// <inheritdoc/>
    [JsonIgnore]
    public override PassNeeds Needs => PassNeeds.TargetStates | PassNeeds.WholeBatches;

    /// <inheritdoc/>
    public override ForgetLoss Build(TermInputs inputs)
    {
        using var guard = no_grad();
        using var generator = new Generator(new SeededRandom(inputs.Seed, "start noise").NextUInt64(), CPU);
        for (var i = 0; i < inputs.Trained.Names.Count; i++)
        {
            using var scope = NewDisposeScope();
            var weight = inputs.Trained.Masters[i].Whole();
            var noise = randn(weight.shape, dtype: float32, generator: generator).to(weight.device);
            inputs.Trained.Load(i, weight + noise * (StartNoise * weight.square().mean().sqrt().item<float>()));
        }

        return new ReroutingLoss(Weight, inputs.Steps);
    }

    private sealed class ReroutingLoss(double weight, int steps) : StatesLoss
    {
        public override Tensor At(Tensor updated, Tensor frozen, StepPass pass, bool weighted = true)
        {
            var cosine = nn.functional.cosine_similarity(TokenRows.Select(updated, pass.Mask), TokenRows.Select(frozen, pass.Mask), 1);
            return nn.functional.relu(cosine).mean() * (weight * (1 - pass.Step.Scheduled.Step / (2.0 * steps)));
        }
    }
}

/// <summary><c>distance</c>: weight t / 2T mean |h_r - h_r,frozen| at step t of T of the hidden states of retain texts.</summary>
public sealed record StatesDistance : RetainTerm
{
    /// <summary>Weight 10, as published.</summary>
    public StatesDistance() => Weight = [10];

    /// <inheritdoc/>
    [JsonIgnore]
    public override PassNeeds Needs => PassNeeds.TargetStates | PassNeeds.WholeBatches;

    /// <inheritdoc/>
    public override RetainLoss Build(TermInputs inputs) => new DistanceLoss(inputs.Steps);

    private sealed class DistanceLoss(int steps) : RetainLoss
    {
        public override Tensor Loss(StepPass pass) => Weighted(pass, 1);

        public override Tensor Weighted(StepPass pass, double weight)
        {
            var (updated, frozen) = pass.Rows();
            return (updated - frozen).norm(1).mean() * (weight * (pass.Step.Scheduled.Step / (2.0 * steps)));
        }
    }
}

/// <summary>Representation rerouting.</summary>
internal static class CircuitBreakers
{
    private static readonly MethodSettings Settings = PublishedSettings.FewMatrices(
        new ObjectiveSettings { Forget = [new Rerouting()], Retain = [new StatesDistance()] }
    );

    public static UnlearningMethod Method { get; } =
        UnlearningMethod.Of(
            "circuit-breakers",
            "Representation rerouting: L = c_f mean relu(cos(h_f, h_f,frozen)) + c_r mean |h_r - h_r,frozen|, at step t of T with "
                + "c_f = alpha (1 - t / 2T) and c_r = alpha t / 2T.",
            "Zou et al., Improving Alignment and Robustness with Circuit Breakers (NeurIPS 2024), there with LoRA on several layers; here "
                + "on the matrices that are trained",
            Settings with
            {
                Data = new DataSettings { BatchSize = 16 },
                Optimizer = Settings.Optimizer with { LearningRate = 1e-4 },
            },
            [.. PublishedSettings.RatesAndStrengthOfLayers("alpha", "objective.forget.rerouting.weight", 10, 100).Select(WithRetain)]
        );

    // One alpha for both losses.
    private static Trial WithRetain(Trial trial)
    {
        var weight = trial.Settings.Single(setting => setting.StartsWith("objective.", StringComparison.Ordinal)).Split('=')[1];
        return trial with { Settings = [.. trial.Settings, $"objective.retain.distance.weight={weight}"] };
    }
}
