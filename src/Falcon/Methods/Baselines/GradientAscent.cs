using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;
using Falcon.Engine;
using Falcon.Methods.Terms;
using static TorchSharp.torch;

namespace Falcon.Methods.Baselines;

/// <summary><c>ascent</c>: -weight CE_f, the negated cross-entropy of the forget answers. Unbounded below.</summary>
public sealed record Ascent : ForgetTerm
{
    /// <summary>Weight of the loss ("gamma").</summary>
    [Range(0, double.MaxValue)]
    public double Weight { get; init; } = 1;

    /// <inheritdoc/>
    [JsonIgnore]
    public override PassNeeds Needs => PassNeeds.Likelihoods | PassNeeds.WholeBatches;

    /// <inheritdoc/>
    public override ForgetLoss Build(TermInputs inputs) => new AscentLoss(Weight);

    private sealed class AscentLoss(double weight) : ForgetLoss
    {
        public override Tensor Loss(StepPass pass) => pass.AnswerMeanNll() * -weight;
    }
}

/// <summary>The methods that climb the loss of the forget answers and differ in what they keep.</summary>
internal static class GradientAscent
{
    public static UnlearningMethod Alone { get; } =
        UnlearningMethod.Of(
            "grad-ascent",
            "Gradient ascent: L = -CE_f on the forget answers alone. Unbounded below, so it ruins a model unless it is stopped.",
            "Jang et al., ACL 2023",
            PublishedSettings.WholeModel(new ObjectiveSettings { Forget = [new Ascent()] }),
            PublishedSettings.Rates()
        );

    public static UnlearningMethod Difference { get; } =
        UnlearningMethod.Of(
            "grad-diff",
            "Gradient difference: L = -gamma CE_f + alpha CE_r.",
            "Liu et al., Continual Learning and Private Unlearning (2022); Maini et al., TOFU (2024)",
            PublishedSettings.WholeModel(new ObjectiveSettings { Forget = [new Ascent()], Retain = [new Answers()] }),
            PublishedSettings.RatesAndStrength("alpha", "objective.retain.answers.weight", 1, 5)
        );

    public static UnlearningMethod Divergence { get; } =
        UnlearningMethod.Of(
            "kl",
            "KL minimisation: L = -gamma CE_f + alpha KL(frozen || model) on the retain texts, mean over all their real tokens.",
            "Maini et al., TOFU (2024)",
            PublishedSettings.WholeModel(new ObjectiveSettings { Forget = [new Ascent()], Retain = [new Outputs()] }),
            PublishedSettings.RatesAndStrength("alpha", "objective.retain.outputs.weight", 1, 5)
        );
}
