using System.Globalization;
using Falcon.Data;
using Falcon.Evaluation.Metrics;
using Falcon.Results;
using Falcon.Runtime;

namespace Falcon.Evaluation.Suites;

/// <summary>
/// A metric over questions with answers: one value for each question, from what the model says. Derive from it, register the metric with
/// <see cref="SuiteCatalog.Register(QuestionMetric)"/>, and evaluate with the metric's name as a suite. The result is the mean over the
/// questions with its bootstrap interval, for each file too where there are several.
/// </summary>
public abstract class QuestionMetric
{
    /// <summary>Name of the suite and of the number in results: lower-case letters, digits and hyphens.</summary>
    public abstract string Name { get; }

    /// <summary>What is computed for one question, in one sentence with its source. Stands in results.</summary>
    public abstract string Definition { get; }

    /// <summary>Which way is better: <see cref="Metric.Higher"/> (the default) or <see cref="Metric.Lower"/>.</summary>
    public virtual string Direction => Metric.Higher;

    /// <summary>The value for one question; any finite number.</summary>
    /// <param name="answer">The question, and what the model says to it.</param>
    public abstract double Value(ModelAnswer answer);
}

/// <summary>What a model says to one question.</summary>
/// <param name="Record">The question with its true answer, as it stands in the file.</param>
/// <param name="Text">The greedy answer, without special tokens and without white space at its ends.</param>
/// <param name="Scores">Token log-probabilities of the true answer, of its paraphrase, and of wrong answers.</param>
public sealed record ModelAnswer(CorpusRecord Record, string Text, AnswerScores Scores);

/// <summary>The suite of one <see cref="QuestionMetric"/>.</summary>
internal sealed class QuestionMetricSuite : EvaluationSuite
{
    private const string Needed = "question/answer records";

    private readonly QuestionMetric _metric;

    private QuestionMetricSuite(QuestionMetric metric, IReadOnlyList<string> files, EvaluationSettings settings)
        : base(metric.Name, files, settings) => _metric = metric;

    public override string SettingsText =>
        string.Create(
            CultureInfo.InvariantCulture,
            $"{Settings.Questions.RougeSamples} questions, answers of {Settings.Questions.MaxNewTokens} "
                + $"tokens{OutsideCode.IdentityOf(_metric)}"
        );

    public static QuestionMetricSuite Open(QuestionMetric metric, EvaluationSettings settings) =>
        new(metric, FindFiles(settings.DataOf(metric.Name, Needed), RecordExtensions, "file with " + Needed), settings);

    public override SuiteValues Measure(LoadedModel loaded, IRunLog log, CancellationToken cancellation)
    {
        var sets = ReadRecords(record => record is { Question: not null, Answer: not null }, "a question with an answer", log);
        List<(string File, IReadOnlyList<CorpusRecord> Records)> asked =
        [
            .. sets.Select(set => (set.File, QuestionMetrics.EvenlySpaced(set.Records, Settings.Questions.RougeSamples))),
        ];
        List<CorpusRecord> all = [.. asked.SelectMany(set => set.Records)];
        var prompts = PromptsOf(loaded);
        var scores = loaded.ScoreAnswers(all, prompts, $"{Name}, likelihoods", log, cancellation);
        var texts = loaded.GreedyTexts(
            [.. all.Select(prompts.EncodePrompt)],
            Settings.Questions.MaxNewTokens,
            $"{Name}, answers",
            log,
            cancellation
        );
        var values = all.Select((record, i) => _metric.Value(new ModelAnswer(record, texts[i], scores[i]))).ToArray();
        List<(string, IReadOnlyList<double>)> byFile = [];
        var next = 0;
        foreach (var (file, records) in asked) byFile.Add((file, values[next..(next += records.Count)]));
        Dictionary<string, MetricValue> metrics = [];
        AddPerFile(metrics, byFile, Name, set =>
            Metric.Mean(
                set,
                _metric.Direction,
                Settings.Questions.Seed,
                string.Create(CultureInfo.InvariantCulture, $"{_metric.Definition}; mean over {set.Count} evenly spaced questions")
            )
        );
        return new SuiteValues(metrics) { Warnings = [.. AnswerGuards.OfTexts(Name, [.. texts])] };
    }
}
