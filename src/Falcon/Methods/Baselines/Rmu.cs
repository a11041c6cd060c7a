using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;
using Falcon.Engine;
using Falcon.Methods.Terms;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Methods.Baselines;

/// <summary>
/// <c>misdirection</c>: mean (h_f - c u)^2 of the hidden states of forget texts at the target layer, u a random direction of length 1.
/// </summary>
public sealed record Misdirection : ForgetTerm
{
    /// <summary>Length of the vector that hidden states are pulled to (c, the steering coefficient).</summary>
    [Range(0, double.MaxValue)]
    public double Coefficient { get; init; } = 6.5;

    /// <inheritdoc/>
    [JsonIgnore]
    public override PassNeeds Needs => PassNeeds.TargetStates | PassNeeds.WholeBatches;

    /// <inheritdoc/>
    public override ForgetLoss Build(TermInputs inputs) =>
        new MisdirectionLoss(inputs, (direction, _) => direction * Coefficient);
}

/// <summary>
/// <c>adaptiveMisdirection</c>: mean (h_f - c |h_f,frozen| u)^2: the vector's length follows the norm of each token's own hidden state, so
/// that later layers, whose norms are larger, work too.
/// </summary>
public sealed record AdaptiveMisdirection : ForgetTerm
{
    /// <summary>Length of the vector as a multiple of the norm of each frozen hidden state (c).</summary>
    [Range(0, double.MaxValue)]
    public double Coefficient { get; init; } = 5;

    /// <inheritdoc/>
    [JsonIgnore]
    public override PassNeeds Needs => PassNeeds.TargetStates | PassNeeds.WholeBatches;

    /// <inheritdoc/>
    public override ForgetLoss Build(TermInputs inputs) =>
        new MisdirectionLoss(inputs, (direction, frozen) => frozen.norm(1, keepdim: true) * Coefficient * direction);
}

/// <summary><c>squaredError</c>: mean (h_r - h_r,frozen)^2 of the hidden states of retain texts at the target layer.</summary>
public sealed record SquaredError : RetainTerm
{
    /// <inheritdoc/>
    [JsonIgnore]
    public override PassNeeds Needs => PassNeeds.TargetStates | PassNeeds.WholeBatches;

    /// <inheritdoc/>
    public override RetainLoss Build(TermInputs inputs) => new ErrorLoss();

    private sealed class ErrorLoss : RetainLoss
    {
        public override Tensor Loss(StepPass pass)
        {
            var (updated, frozen) = pass.Rows();
            return RmuLoss.Compute(updated, frozen);
        }
    }
}

/// <summary>The pull of hidden states to a vector along one random direction.</summary>
internal sealed class MisdirectionLoss : StatesLoss
{
    private readonly Tensor _direction;
    private readonly Func<Tensor, Tensor, Tensor> _goal;

    /// <summary>Draws the direction from the run's seed.</summary>
    /// <param name="inputs">Seed and hidden size.</param>
    /// <param name="goal">From direction [H] and frozen rows [M, H] to what the rows are pulled to.</param>
    public MisdirectionLoss(TermInputs inputs, Func<Tensor, Tensor, Tensor> goal)
    {
        using var generator = new Generator(new SeededRandom(inputs.Seed, "control vector").NextUInt64(), CPU);
        _direction = RmuLoss
            .ControlVector(inputs.Frozen.Config.HiddenSize, generator, inputs.Frozen.Device)
            .DetachFromDisposeScope();
        _goal = goal;
    }

    public override Tensor At(Tensor updated, Tensor frozen, StepPass pass, bool weighted = true) =>
        RmuLoss.Compute(TokenRows.Select(updated, pass.Mask), _goal(_direction, TokenRows.Select(frozen, pass.Mask)));

    protected override void Dispose(bool disposing)
    {
        if (disposing) _direction.Dispose();
        base.Dispose(disposing);
    }
}

/// <summary>Representation misdirection, with a fixed and with an adaptive length.</summary>
internal static class Rmu
{
    // Coefficient, retain weight, learning rate.
    private static readonly (double Coefficient, double Alpha, double Rate)[] Steering =
        [(20, 1, 1e-3), (50, 10, 1e-3), (20, 10, 1e-3), (100, 10, 1e-3), (50, 1, 1e-3), (6.5, 1, 1e-3), (6.5, 1200, 1e-3), (50, 50, 3e-3)];

    private static readonly (double Coefficient, double Alpha, double Rate)[] AdaptiveSteering =
        [(5, 1, 1e-3), (5, 10, 1e-3), (2, 1, 1e-3), (10, 10, 1e-3), (2, 10, 1e-3), (5, 50, 1e-3), (5, 1200, 1e-3), (5, 50, 3e-3)];

    public static UnlearningMethod Method { get; } =
        UnlearningMethod.Of(
            "rmu",
            "Representation misdirection: L = mean (h_f - c u)^2 + alpha mean (h_r - h_r,frozen)^2 at the target layer, u a random "
                + "direction of length 1.",
            "Li et al., The WMDP Benchmark (2024)",
            PublishedSettings.FewMatrices(
                new ObjectiveSettings { Forget = [new Misdirection()], Retain = [new SquaredError { Weight = [1200] }] }
            ),
            Trials("misdirection", Steering)
        );

    public static UnlearningMethod Adaptive { get; } =
        UnlearningMethod.Of(
            "adaptive-rmu",
            "RMU whose coefficient follows the norm of each token's own hidden state: L = mean (h_f - c |h_f,frozen| u)^2 + alpha mean "
                + "(h_r - h_r,frozen)^2.",
            "Huu-Tien et al., On Effects of Steering Latent Representation for LLM Unlearning (AAAI 2025)",
            PublishedSettings.FewMatrices(
                new ObjectiveSettings { Forget = [new AdaptiveMisdirection()], Retain = [new SquaredError { Weight = [1200] }] }
            ) with
            {
                Steps = 500,
            },
            Trials("adaptiveMisdirection", AdaptiveSteering)
        );

    private static IReadOnlyList<Trial> Trials(string kind, (double Coefficient, double Alpha, double Rate)[] grid) =>
        [
            .. grid.Select(one =>
            {
                var (coefficient, alpha) = (PublishedSettings.Number(one.Coefficient), PublishedSettings.Number(one.Alpha));
                return new Trial(
                    $"lr {PublishedSettings.Rate(one.Rate)}, coefficient {coefficient}, alpha {alpha}{PublishedSettings.AllMatricesText}",
                    [
                        PublishedSettings.RateSetting(one.Rate),
                        $"objective.forget.{kind}.coefficient={coefficient}",
                        $"objective.retain.squaredError.weight={alpha}",
                        .. PublishedSettings.AllMatrices,
                    ]
                );
            }),
        ];
}
