using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;
using Falcon.Engine;
using Falcon.Methods.Baselines;
using Falcon.Methods.Terms;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Methods.Preference;

/// <summary>
/// <c>alternatives</c>: weight * -(2/beta) mean log sigmoid(beta ((NLL_f - NLL_f,frozen) - (NLL_alt - NLL_alt,frozen))), alt being another
/// answer that the unchanged model made itself before the first step; each step draws one of them for each forget text.
/// </summary>
public sealed record AlternativePreference : ForgetTerm
{
    /// <summary>Sharpness of the preference.</summary>
    [Range(0, double.MaxValue, MinimumIsExclusive = true)]
    public double Beta { get; init; } = 0.1;

    /// <summary>Weight of the loss ("gamma").</summary>
    [Range(0, double.MaxValue)]
    public double Weight { get; init; } = 1;

    /// <summary>Other answers that are made for each forget text.</summary>
    [Range(1, 100)]
    public int Count { get; init; } = 5;

    /// <summary>Temperature at which they are sampled; where that only gives the true answer, it is raised.</summary>
    [Range(0, 10, MinimumIsExclusive = true)]
    public double Temperature { get; init; } = 1;

    /// <inheritdoc/>
    [JsonIgnore]
    public override PassNeeds Needs => PassNeeds.Likelihoods | PassNeeds.WholeBatches;

    /// <inheritdoc/>
    public override ForgetLoss Build(TermInputs inputs) => new AlternativesLoss(this, AlternativeAnswers.Make(this, inputs), inputs);

    private sealed class AlternativesLoss(
        AlternativePreference settings,
        IReadOnlyList<IReadOnlyList<IReadOnlyList<int[]>>> alternatives,
        TermInputs inputs
    ) : ForgetLoss
    {
        private readonly PreferredAnswers _preference = new(inputs, settings.Beta);

        public override Tensor Loss(StepPass pass)
        {
            var batch = pass.Step.Scheduled;
            var random = new SeededRandom(inputs.Seed, "alternative answers", batch.Step);
            var ofTopic = alternatives[batch.Topic];
            return _preference.Loss(pass, [.. batch.Forget.Select(i => ofTopic[i][random.Next(ofTopic[i].Count)])]) * settings.Weight;
        }
    }
}

/// <summary>Alternate preference optimisation.</summary>
internal static class AltPo
{
    private static readonly MethodSettings Settings = PublishedSettings.WholeModel(
        new ObjectiveSettings { Forget = [new AlternativePreference()], Retain = [new Answers()] }
    );

    public static UnlearningMethod Method { get; } =
        UnlearningMethod.Of(
            "altpo",
            "Alternate preference optimisation: idk-dpo with other answers that the unchanged model makes itself in place of refusals. "
                + "They lie in alternatives.jsonl of the run.",
            "Mekala et al., Alternate Preference Optimization for Unlearning Factual Knowledge in Large Language Models (2024); there an "
                + "instruction asks for them, here they are sampled as answers to the question itself",
            Settings with
            {
                Optimizer = Settings.Optimizer with { LearningRate = 2e-5, WarmupSteps = 0 },
                Steps = 25,
            },
            PublishedSettings.RatesAndStrength("alpha", "objective.retain.answers.weight", 1, 5)
        );
}
