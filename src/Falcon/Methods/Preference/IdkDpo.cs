using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;
using Falcon.Engine;
using Falcon.Methods.Baselines;
using Falcon.Methods.Terms;
using static TorchSharp.torch;

namespace Falcon.Methods.Preference;

/// <summary>
/// <c>refusals</c>: weight * -(2/beta) mean log sigmoid(beta ((NLL_f - NLL_f,frozen) - (NLL_idk - NLL_idk,frozen))), idk being a refusal in
/// place of the answer.
/// </summary>
public sealed record RefusalPreference : ForgetTerm
{
    /// <summary>Sharpness of the preference.</summary>
    [Range(0, double.MaxValue, MinimumIsExclusive = true)]
    public double Beta { get; init; } = 0.1;

    /// <summary>Weight of the loss ("gamma").</summary>
    [Range(0, double.MaxValue)]
    public double Weight { get; init; } = 1;

    /// <inheritdoc/>
    [JsonIgnore]
    public override PassNeeds Needs => PassNeeds.Likelihoods | PassNeeds.WholeBatches;

    /// <inheritdoc/>
    public override ForgetLoss Build(TermInputs inputs) => new RefusalLoss(this, RefusalTexts.Instead(inputs), inputs);

    private sealed class RefusalLoss(RefusalPreference settings, IReadOnlyList<IReadOnlyList<int[]>> refusals, TermInputs inputs)
        : ForgetLoss
    {
        private readonly PreferredAnswers _preference = new(inputs, settings.Beta);

        public override Tensor Loss(StepPass pass)
        {
            var batch = pass.Step.Scheduled;
            return _preference.Loss(pass, [.. batch.Forget.Select(i => refusals[batch.Topic][i])]) * settings.Weight;
        }
    }
}

/// <summary>Direct preference optimisation towards "I do not know".</summary>
internal static class IdkDpo
{
    public static UnlearningMethod Method { get; } =
        UnlearningMethod.Of(
            "idk-dpo",
            "Direct preference optimisation towards \"I do not know\": L = gamma * -(2/beta) mean log sigmoid(beta ((NLL_f - NLL_f,frozen) "
                + "- (NLL_idk - NLL_idk,frozen))) + alpha CE_r.",
            "Rafailov et al. (2023) as used by Maini et al., TOFU (2024)",
            PublishedSettings.WholeModel(new ObjectiveSettings { Forget = [new RefusalPreference()], Retain = [new Answers()] }),
            PublishedSettings.RatesAndStrength("alpha", "objective.retain.answers.weight", 1, 5)
        );
}
