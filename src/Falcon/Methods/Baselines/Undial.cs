using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;
using Falcon.Engine;
using Falcon.Methods.Terms;
using static TorchSharp.torch;

namespace Falcon.Methods.Baselines;

/// <summary>
/// <c>undial</c>: self-distillation with lowered logits, weight * mean over the forget answers' tokens of
/// CE(model, softmax(frozen logits - beta onehot(y))).
/// </summary>
public sealed record LoweredLogits : ForgetTerm
{
    /// <summary>How far the true token's logit is lowered.</summary>
    [Range(0, double.MaxValue)]
    public double Beta { get; init; } = 10;

    /// <summary>Weight of the loss ("gamma").</summary>
    [Range(0, double.MaxValue)]
    public double Weight { get; init; } = 1;

    /// <inheritdoc/>
    [JsonIgnore]
    public override PassNeeds Needs => PassNeeds.Likelihoods | PassNeeds.WholeBatches;

    /// <summary>The distillation loss, a float32 scalar.</summary>
    /// <param name="logits">Of the model in training [B, T, V].</param>
    /// <param name="frozenLogits">Of the unchanged model [B, T, V].</param>
    /// <param name="labels">
    /// [B, T] int64, <see cref="ReferenceLosses.IgnoredLabel"/> where not scored; position t is scored against the label of t + 1.
    /// </param>
    /// <param name="beta">How far the true token's logit is lowered.</param>
    public static Tensor Distillation(Tensor logits, Tensor frozenLogits, Tensor labels, double beta)
    {
        using var scope = NewDisposeScope();
        var targets = labels[.., 1..];
        var scored = targets.ne(ReferenceLosses.IgnoredLabel);
        var lowered = TokenRows.Select(frozenLogits[.., ..^1], scored); // [M, V]
        var truth = nn.functional.one_hot(targets.masked_select(scored), lowered.shape[1]);
        var teacher = (lowered - truth * beta).softmax(1);
        return (teacher * TokenRows.Select(logits[.., ..^1], scored).log_softmax(1)).sum(1).mean().neg().MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override ForgetLoss Build(TermInputs inputs) => new UndialLoss(this);

    private sealed class UndialLoss(LoweredLogits settings) : ForgetLoss
    {
        public override Tensor Loss(StepPass pass) =>
            Distillation(pass.AnswerLogits, pass.FrozenAnswerLogits, pass.Labels(), settings.Beta) * settings.Weight;
    }
}

/// <summary>Self-distillation with lowered logits.</summary>
internal static class Undial
{
    private static readonly MethodSettings Settings = PublishedSettings.WholeModel(
        new ObjectiveSettings { Forget = [new LoweredLogits()], Retain = [new Answers { Weight = [0] }] }
    );

    public static UnlearningMethod Method { get; } =
        UnlearningMethod.Of(
            "undial",
            "Self-distillation with lowered logits: L = mean over the forget answers' tokens of CE(model, softmax(frozen logits - beta "
                + "onehot(y))) + alpha CE_r. (OpenUnlearning averages over prompt and padding too.)",
            "Dong et al., UNDIAL (NAACL 2025)",
            Settings with { Optimizer = Settings.Optimizer with { LearningRate = 1e-4 } },
            PublishedSettings.RatesAndStrength("alpha", "objective.retain.answers.weight", 1, 5)
        );
}
