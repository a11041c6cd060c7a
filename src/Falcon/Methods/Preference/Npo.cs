using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;
using Falcon.Engine;
using Falcon.Methods.Baselines;
using Falcon.Methods.Terms;
using static TorchSharp.torch;

namespace Falcon.Methods.Preference;

/// <summary>
/// <c>npo</c>: weight * -(2/beta) mean log sigmoid(beta (NLL_f - NLL_f,frozen)), NLL summed over the answer's tokens.
/// </summary>
public sealed record NegativePreference : ForgetTerm
{
    /// <summary>Sharpness of the preference; the limit 0 is gradient ascent.</summary>
    [Range(0, double.MaxValue, MinimumIsExclusive = true)]
    public double Beta { get; init; } = 0.1;

    /// <summary>Weight of the loss ("gamma").</summary>
    [Range(0, double.MaxValue)]
    public double Weight { get; init; } = 1;

    /// <inheritdoc/>
    [JsonIgnore]
    public override PassNeeds Needs => PassNeeds.Likelihoods | PassNeeds.WholeBatches;

    /// <inheritdoc/>
    public override ForgetLoss Build(TermInputs inputs) => new NpoLoss(this, new ReferenceNll(inputs.Frozen, inputs.PadId));

    private sealed class NpoLoss(NegativePreference settings, ReferenceNll reference) : ForgetLoss
    {
        public override Tensor Loss(StepPass pass) =>
            ReferenceLosses.Npo(pass.AnswerNll(), reference.Of(pass.Answers), settings.Beta) * settings.Weight;
    }
}

/// <summary>Negative preference optimisation.</summary>
internal static class Npo
{
    public static UnlearningMethod Method { get; } =
        UnlearningMethod.Of(
            "npo",
            "Negative preference optimisation: L = gamma * -(2/beta) mean log sigmoid(beta (NLL_f - NLL_f,frozen)) + alpha CE_r.",
            "Zhang et al., Negative Preference Optimization (2024)",
            PublishedSettings.WholeModel(new ObjectiveSettings { Forget = [new NegativePreference()], Retain = [new Answers()] }),
            PublishedSettings.RatesAndStrength("alpha", "objective.retain.answers.weight", 1, 5)
        );
}
