using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;
using Falcon.Data;
using Falcon.Engine;
using Falcon.Methods.Terms;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Methods.Baselines;

/// <summary><c>randomAnswers</c>: weight * CE of each forget prompt with K random answers of the retain set.</summary>
public sealed record RandomAnswers : ForgetTerm
{
    /// <summary>Random answers to each forget prompt (K).</summary>
    [Range(1, 1000)]
    public int Count { get; init; } = 5;

    /// <summary>Weight of the loss ("lambda").</summary>
    [Range(0, double.MaxValue)]
    public double Weight { get; init; } = 1;

    /// <inheritdoc/>
    [JsonIgnore]
    public override PassNeeds Needs => PassNeeds.Likelihoods | PassNeeds.WholeBatches;

    /// <inheritdoc/>
    public override ForgetLoss Build(TermInputs inputs) => new MismatchedLoss(this, inputs.Seed);

    private sealed class MismatchedLoss(RandomAnswers settings, ulong seed) : ForgetLoss
    {
        public override Tensor Loss(StepPass pass) => Mismatched(pass).MeanNll(pass.Model) * settings.Weight;

        // Every forget prompt with K random answers, B K texts.
        private AnswerBatch Mismatched(StepPass pass)
        {
            var random = new SeededRandom(seed, "random answers", pass.Step.Scheduled.Step);
            var (forget, retain) = (pass.Answers, pass.Step.Texts);
            List<int[]> texts = [];
            List<int> answerFrom = [];
            for (var i = 0; i < forget.Texts.Count; i++)
            {
                for (var k = 0; k < settings.Count; k++)
                {
                    var other = random.Next(retain.Retain.Count);
                    var prompt = forget.Texts[i][..(forget.AnswerFrom[i] + 1)];
                    texts.Add([.. prompt, .. retain.Retain[other][(retain.RetainAnswers[other] + 1)..]]);
                    answerFrom.Add(forget.AnswerFrom[i]);
                }
            }

            return new AnswerBatch(texts, answerFrom, pass.Step.PadId);
        }
    }
}

/// <summary>Large language model unlearning.</summary>
internal static class Llmu
{
    private static readonly MethodSettings Settings = PublishedSettings.WholeModel(
        new ObjectiveSettings
        {
            Forget = [new Ascent { Weight = 0.5 }, new RandomAnswers()],
            Retain = [new Outputs()],
        }
    );

    public static UnlearningMethod Method { get; } =
        UnlearningMethod.Of(
            "llmu",
            "Large language model unlearning: L = -gamma CE_f + lambda CE of each forget prompt with K random answers of the retain set + "
                + "alpha KL(frozen || model) on the retain texts.",
            "Yao et al., Large Language Model Unlearning (2023)",
            Settings with
            {
                Data = new DataSettings { BatchSize = 2 },
                Optimizer = Settings.Optimizer with { LearningRate = 2e-6, WarmupSteps = 0 },
                Steps = 1000,
            },
            PublishedSettings.RatesAndStrength("alpha", "objective.retain.outputs.weight", 1, 5)
        );
}
