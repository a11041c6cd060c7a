using Falcon.Checkpoints;
using Falcon.Data;
using Falcon.Engine;
using Falcon.Evaluation;
using Falcon.Evaluation.Metrics;
using Falcon.Methods.Falcon;
using Falcon.Models;
using Falcon.Results;
using Falcon.Runs.Configuration;
using Falcon.Runtime;
using Falcon.Tokenization;

namespace Falcon.Runs;

/// <summary>
/// Measures forgetting and utility of the model in training from likelihoods alone, without generating text. The distance to a model that
/// never learned the forget set comes from the truth ratios of a reference model, where there is one and the questions have wrong answers.
/// Otherwise it comes from the median loss of the answers, which should reach its target.
/// </summary>
internal sealed class RunMonitor
{
    private readonly PromptEncoder _prompts;
    private readonly CancellationToken _cancellation;
    private readonly IReadOnlyList<CorpusRecord> _forget;
    private readonly IReadOnlyList<IReadOnlyList<CorpusRecord>> _utility;
    private readonly double[]? _referenceRatios;

    private RunMonitor(
        UnlearnConfig config,
        CausalLM original,
        PromptEncoder prompts,
        IReadOnlyList<TopicTexts> topics,
        ComputeOptions compute,
        RunContext context
    )
    {
        (_prompts, _cancellation) = (prompts, context.Cancellation);
        var settings = config.Monitor;
        _forget = Read(settings.Forget.Count > 0 ? settings.Forget : config.Data.Forget, "forget");
        _utility = [.. (settings.Utility.Count > 0 ? settings.Utility : config.Data.Retain).Select(path => Read([path], "utility"))];
        if (settings.Reference is { } path)
        {
            context.Log.Information($"measuring the reference {path}");
            var (weights, reference) = Checkpoint.LoadModel(path, compute.DType, compute.Device);
            using var owned = weights;
            var scores = Scores(reference, _forget);
            TargetLoss = NeverLearnedLevel.MedianLoss(scores);
            if (scores.All(score => score.Wrong.Count > 0)) _referenceRatios = Ratios(scores);
        }
        else
        {
            TargetLoss = config.Objective.Forget.OfType<AnswerBound>().FirstOrDefault()?.Level
                ?? NeverLearnedLevel.OfWrongAnswers(original, _prompts, _forget, _cancellation)
                ?? topics.Average(topic =>
                    NeverLearnedLevel.OfTokenFrequencies(topic.Forget, topic.ForgetAnswers, topic.Retain, topic.RetainAnswers)
                );
        }

        Start = Measure(original, 0, 1);

        IReadOnlyList<CorpusRecord> Read(IReadOnlyList<string> paths, string what)
        {
            List<CorpusRecord> all =
            [
                .. paths
                    .SelectMany(file => QuestionMetrics.EvenlySpaced(Corpus.Read(file, config.Data.Fields), settings.Samples))
                    .Where(record => record is { Question: not null, Answer: not null }),
            ];
            return all.Count > 0
                ? all
                : throw new UserInputException(
                    $"{string.Join(", ", paths)}: no question with an answer, which the monitor measures. Name a file of questions in "
                        + $"monitor.{what}, or turn the monitor off (monitor.every=0, monitor.searchPath=false)."
                );
        }
    }

    /// <summary>
    /// The median answer loss of a model that never learned: the reference's; else as set, or the level of wrong answers, or of token
    /// frequencies (<see cref="NeverLearnedLevel"/>).
    /// </summary>
    public double TargetLoss { get; }

    /// <summary>The original model.</summary>
    public Measurement Start { get; }

    /// <summary>Measures the original model and, where there is one, the reference.</summary>
    /// <exception cref="UserInputException">A file holds no questions.</exception>
    public static RunMonitor Open(
        UnlearnConfig config,
        CausalLM original,
        PromptEncoder prompts,
        IReadOnlyList<TopicTexts> topics,
        ComputeOptions compute,
        RunContext context
    ) => new(config, original, prompts, topics, compute, context);

    /// <summary>Measures a model.</summary>
    /// <param name="model">The whole model.</param>
    /// <param name="step">Finished steps.</param>
    /// <param name="share">Share of the way from the original parameters.</param>
    public Measurement Measure(CausalLM model, int step, double share)
    {
        var scores = Scores(model, _forget);
        var loss = NeverLearnedLevel.MedianLoss(scores);
        var utility = ModelUtility.HarmonicMean([.. _utility.Select(records => Scores(model, records).Average(Probability))]);
        var utilityLoss = Start is null ? 0 : 1 - utility / Start.Utility;
        if (_referenceRatios is null)
            return new Measurement(step, share, loss, Math.Abs(loss / TargetLoss - 1), null, utility, utilityLoss);
        var test = KolmogorovSmirnov.Test(Ratios(scores), _referenceRatios);
        return new Measurement(step, share, loss, test.Statistic, test.PValue, utility, utilityLoss);
    }

    private IReadOnlyList<AnswerScores> Scores(CausalLM model, IReadOnlyList<CorpusRecord> records) =>
        AnswerScores.Compute(model, _prompts, records, cancellation: _cancellation);

    private static double Probability(AnswerScores score) =>
        score.Wrong.Count == 0
            ? AnswerScores.Probability(score.Answer)
            : AnswerProbability.AmongOptions(
                AnswerProbability.Loss(score.Answer),
                [.. score.Wrong.Select(wrong => AnswerProbability.Loss(wrong))]
            );

    private static double[] Ratios(IReadOnlyList<AnswerScores> scores) =>
        [
            .. scores.Select(score =>
                TruthRatio.Ratio(
                    TruthRatioDefinition.TofuAggregate,
                    AnswerProbability.Loss(score.Paraphrase ?? score.Answer),
                    [.. score.Wrong.Select(wrong => AnswerProbability.Loss(wrong))]
                )
            ),
        ];
}
