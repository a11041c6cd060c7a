using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;
using Falcon.Engine;
using Falcon.Methods.Baselines;
using Falcon.Methods.Terms;
using static TorchSharp.torch;

namespace Falcon.Methods.Preference;

/// <summary><c>simnpo</c>: weight * -(2/beta) mean log sigmoid(beta (NLL_f / tokens - delta)), without a reference model.</summary>
public sealed record SimpleNegativePreference : ForgetTerm
{
    /// <summary>Sharpness of the preference.</summary>
    [Range(0, double.MaxValue, MinimumIsExclusive = true)]
    public double Beta { get; init; } = 4.5;

    /// <summary>Margin in nats a token.</summary>
    [Range(0, double.MaxValue)]
    public double Delta { get; init; }

    /// <summary>Weight of the loss ("gamma").</summary>
    [Range(0, double.MaxValue)]
    public double Weight { get; init; } = 0.125;

    /// <inheritdoc/>
    [JsonIgnore]
    public override PassNeeds Needs => PassNeeds.Likelihoods | PassNeeds.WholeBatches;

    /// <inheritdoc/>
    public override ForgetLoss Build(TermInputs inputs) => new SimNpoLoss(this);

    private sealed class SimNpoLoss(SimpleNegativePreference settings) : ForgetLoss
    {
        public override Tensor Loss(StepPass pass)
        {
            var counts = ReferenceLosses.TargetCounts(pass.Labels()).clamp_min(1); // a text cut before its answer counts as 0
            return ReferenceLosses.SimNpo(pass.AnswerNll(), counts, settings.Beta, settings.Delta) * settings.Weight;
        }
    }
}

/// <summary>NPO without a reference model.</summary>
internal static class SimNpo
{
    public static UnlearningMethod Method { get; } =
        UnlearningMethod.Of(
            "simnpo",
            "NPO without a reference model: L = gamma * -(2/beta) mean log sigmoid(beta (NLL_f / tokens - delta)) + alpha CE_r.",
            "Fan et al., Simplicity Prevails (2024)",
            PublishedSettings.WholeModel(new ObjectiveSettings { Forget = [new SimpleNegativePreference()], Retain = [new Answers()] }),
            PublishedSettings.RatesAndStrength("gamma", "objective.forget.simnpo.weight", 0.125, 1)
        );
}
