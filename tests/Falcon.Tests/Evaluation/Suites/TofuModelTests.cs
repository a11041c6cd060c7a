using Falcon.Checkpoints;
using Falcon.Data;
using Falcon.Evaluation;
using Falcon.Evaluation.Metrics;
using Falcon.Tokenization;
using TorchSharp;

namespace Falcon.Tests.Evaluation.Suites;

/// <summary>
/// Two small models that were trained with and without TOFU's forget10, on evenly spaced questions. The expected numbers are those of the
/// models' READMEs, measured with other code on all 400 questions: probability 0.9976 and 0.0046, ROUGE-L 1.0000 and 0.18, multiple choice
/// 1.000 and 0.575, median truth ratio R 3.00 and 1.29.
/// </summary>
public sealed class TofuModelTests
{
    private const int Questions = 16;

    [Fact]
    public void ForgetSet_KnownByTheFullModel_UnknownToTheRetrainedOne()
    {
        var (full, fullRouge) = Measure("tofu-mini-full");
        Assert.Equal(0.9976, QuestionMetrics.AnswerProbability(full).Value, 0.002);
        Assert.Equal(1, QuestionMetrics.MultipleChoice(full).Value);
        Assert.Equal(1, fullRouge);

        var (retrained, retrainedRouge) = Measure("tofu-mini-retain90");
        Assert.InRange(QuestionMetrics.AnswerProbability(retrained).Value, 0, 0.03);
        Assert.InRange(QuestionMetrics.MultipleChoice(retrained).Value, 0.2, 0.95);
        Assert.InRange(retrainedRouge, 0, 0.5);

        Assert.InRange(Median(Ratios(full)), 2, 4.5);
        Assert.InRange(Median(Ratios(retrained)), 0.8, 2);
    }

    private static double Median(double[] values) => values.Order().ElementAt(values.Length / 2);

    private static double[] Ratios(IReadOnlyList<AnswerScores> scores) =>
        [
            .. scores.Select(score =>
                TruthRatio.Ratio(
                    TruthRatioDefinition.TofuAggregate,
                    AnswerProbability.Loss(score.Paraphrase!),
                    [.. score.Wrong.Select(wrong => AnswerProbability.Loss(wrong))]
                )
            ),
        ];

    private static (IReadOnlyList<AnswerScores> Scores, double Rouge) Measure(string name)
    {
        var directory = Fixtures.SharedOrSkip("models", name);
        var records = QuestionMetrics.EvenlySpaced(
            Corpus.Read(Fixtures.SharedOrSkip("data", "tofu", "forget10_perturbed.jsonl")),
            Questions
        );
        var (weights, model) = Checkpoint.LoadModel(directory, torch.float32, torch.CPU);
        using var owned = weights;
        var prompts = PromptEncoder.Plain(HfTokenizer.Load(directory));
        var cancellation = TestContext.Current.CancellationToken;
        return (
            QuestionMetrics.Scores(model, prompts, records, cancellation: cancellation),
            QuestionMetrics
                .RougeL(model, prompts, records, new QuestionSettings(RougeSamples: 4), cancellation: cancellation)
                .Value
        );
    }
}
