using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;
using Falcon.Engine;
using Falcon.Methods.Terms;
using static TorchSharp.torch;

namespace Falcon.Methods.Baselines;

/// <summary>
/// <c>divergence</c>: -KL_T(frozen || model) on the forget answers during the first share of the steps: the student leaves its teacher.
/// </summary>
public sealed record TeacherDivergence : ForgetTerm
{
    /// <summary>Temperature T of the divergence.</summary>
    [Range(0, double.MaxValue, MinimumIsExclusive = true)]
    public double Temperature { get; init; } = 4;

    /// <summary>Share of the steps, from the first, in which the loss acts.</summary>
    [Range(0.0, 1.0)]
    public double Share { get; init; } = 0.3;

    /// <inheritdoc/>
    [JsonIgnore]
    public override PassNeeds Needs => PassNeeds.Likelihoods | PassNeeds.WholeBatches;

    /// <inheritdoc/>
    public override ForgetLoss Build(TermInputs inputs) => new LeavingLoss(Temperature, Share * inputs.Steps, inputs);

    private sealed class LeavingLoss(double temperature, double steps, TermInputs inputs) : ForgetLoss
    {
        public override Tensor? Loss(StepPass pass) =>
            pass.Step.Scheduled.Step < steps
                ? -TemperedOutputs.Divergence(
                    pass.AnswerLogits,
                    pass.FrozenAnswerLogits,
                    pass.Answers.PredictionMask(inputs.Frozen.Device),
                    temperature
                )
                : null;
    }
}

/// <summary>
/// <c>distillation</c>: KL_T(frozen || model) on the retain answers. KL_T is T^2 times the divergence of the logits divided by T, mean over
/// tokens.
/// </summary>
public sealed record TemperedOutputs : RetainTerm
{
    /// <summary>Temperature T of the divergence.</summary>
    [Range(0, double.MaxValue, MinimumIsExclusive = true)]
    public double Temperature { get; init; } = 4;

    /// <inheritdoc/>
    [JsonIgnore]
    public override PassNeeds Needs => PassNeeds.Likelihoods | PassNeeds.WholeBatches;

    /// <summary>T^2 KL(softmax(frozen / T) || softmax(model / T)), mean over the positions of the mask; a float32 scalar.</summary>
    /// <param name="logits">Of the model in training [B, T, V].</param>
    /// <param name="frozenLogits">Of the unchanged model [B, T, V].</param>
    /// <param name="mask">[B, T], bool.</param>
    /// <param name="temperature">T.</param>
    public static Tensor Divergence(Tensor logits, Tensor frozenLogits, Tensor mask, double temperature)
    {
        using var scope = NewDisposeScope();
        var (updated, frozen) = (logits.to(float32) / temperature, frozenLogits.to(float32) / temperature);
        return (ReferenceLosses.KullbackLeibler(updated, frozen, mask) * (temperature * temperature)).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override RetainLoss Build(TermInputs inputs) => new FollowingLoss(Temperature);

    private sealed class FollowingLoss(double temperature) : RetainLoss
    {
        public override Tensor Loss(StepPass pass) =>
            Divergence(pass.AnswerLogits, pass.FrozenAnswerLogits, pass.Answers.PredictionMask(pass.Model.Device), temperature);
    }
}

/// <summary>Teacher and student.</summary>
internal static class Scrub
{
    public static UnlearningMethod Method { get; } =
        UnlearningMethod.Of(
            "scrub",
            "Teacher and student: the student leaves the frozen teacher on the forget answers, L_f = -KL_T(frozen || model), during the "
                + "first share of the steps, and follows it on the retain answers throughout, L_r = gamma CE_r + alpha KL_T(frozen || "
                + "model).",
            "Kurmanji et al., Towards Unbounded Machine Unlearning (NeurIPS 2023), there for images and in alternating epochs; here both "
                + "in each step",
            PublishedSettings.WholeModel(
                new ObjectiveSettings
                {
                    Forget = [new TeacherDivergence()],
                    Retain = [new Answers(), new TemperedOutputs { Weight = [0.5] }],
                }
            ),
            PublishedSettings.RatesAndStrength("alpha", "objective.retain.distillation.weight", 0.5, 5)
        );
}
