using System.Globalization;
using Falcon.Data;
using Falcon.Evaluation.Metrics;
using Falcon.Results;
using Falcon.Runtime;

namespace Falcon.Evaluation.Suites;

/// <summary>Answer probability and ROUGE-L of plain question/answer files.</summary>
internal sealed class QuestionAnswerSuite : EvaluationSuite
{
    private const string SuiteName = "qa";
    private const string Needed = "question/answer records";

    private QuestionAnswerSuite(IReadOnlyList<string> files, EvaluationSettings settings) : base(SuiteName, files, settings) { }

    public override string SettingsText =>
        string.Create(CultureInfo.InvariantCulture, $"rouge {Settings.Questions.RougeSamples} of {Settings.Questions.MaxNewTokens} tokens");

    public static QuestionAnswerSuite Open(EvaluationSettings settings) =>
        new(FindFiles(settings.DataOf(SuiteName, Needed), RecordExtensions, "file with " + Needed), settings);

    public override SuiteValues Measure(LoadedModel loaded, IRunLog log, CancellationToken cancellation)
    {
        var sets = ReadRecords(record => record is { Question: not null, Answer: not null }, "a question with an answer", log);
        List<CorpusRecord> all = [.. sets.SelectMany(set => set.Records)];
        var prompts = PromptsOf(loaded);
        var scored = loaded.ScoreAnswers(all, prompts, $"{SuiteName}, likelihoods", log, cancellation);
        List<(string File, IReadOnlyList<CorpusRecord> Records)> asked =
        [
            .. sets.Select(set => (set.File, QuestionMetrics.EvenlySpaced(set.Records, Settings.Questions.RougeSamples))),
        ];
        var answers = loaded.GreedyTexts(
            [.. asked.SelectMany(set => set.Records).Select(prompts.EncodePrompt)],
            Settings.Questions.MaxNewTokens,
            $"{SuiteName}, answers",
            log,
            cancellation
        );
        List<(string, IReadOnlyList<AnswerScores>)> scores = [];
        List<(string, IReadOnlyList<double>)> recalls = [];
        var (next, nextAnswer) = (0, 0);
        foreach (var ((file, records), (_, questions)) in sets.Zip(asked))
        {
            scores.Add((file, [.. records.Select(_ => scored[next++])]));
            recalls.Add(
                (
                    file,
                    [
                        .. questions.Select(record =>
                            Rouge.LongestCommonSubsequence(record.Answer!, answers[nextAnswer++], stem: true).Recall
                        ),
                    ]
                )
            );
        }

        Dictionary<string, MetricValue> metrics = [];
        AddPerFile(metrics, scores, "Q_A_Prob", set => QuestionMetrics.AnswerProbability(set, Settings.Questions.Seed));
        AddPerFile(metrics, recalls, "Q_A_ROUGE", set =>
            Metric.Mean(
                set,
                Metric.Higher,
                Settings.Questions.Seed,
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"mean ROUGE-L recall (Porter-stemmed) of the greedy answer of up to {Settings.Questions.MaxNewTokens} tokens against "
                        + $"the true answer, over {set.Count} evenly spaced questions"
                )
            )
        );
        return new SuiteValues(metrics) { Warnings = [.. AnswerGuards.OfTexts(SuiteName, [.. answers])] };
    }
}
