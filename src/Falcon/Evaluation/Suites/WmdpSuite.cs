using Falcon.Data;
using Falcon.Evaluation.Metrics;
using Falcon.Results;
using Falcon.Runtime;

namespace Falcon.Evaluation.Suites;

/// <summary>
/// WMDP (Li et al. 2024) as the lm-evaluation-harness scores it: bio, chem and cyber by the likelihood of the letters, and of the full
/// answers besides. Read as the hub lays it out (<c>wmdp-bio/test-00000-of-00001.parquet</c>), as <c>bio_questions.json</c>, or from
/// folders <c>bio</c>, <c>chem</c>, <c>cyber</c>.
/// </summary>
internal sealed class WmdpSuite : EvaluationSuite
{
    private const string SuiteName = "wmdp";
    private const string Needed = "wmdp-bio/test-*.parquet (bio/test.jsonl, bio_questions.json), the same for chem and cyber";
    private static readonly string[] Subsets = ["bio", "chem", "cyber"];

    private readonly IReadOnlyList<(string Subset, IReadOnlyList<string> Files)> _subsets;

    private WmdpSuite(IReadOnlyList<(string Subset, IReadOnlyList<string> Files)> subsets, EvaluationSettings settings)
        : base(SuiteName, [.. subsets.SelectMany(subset => subset.Files)], settings) => _subsets = subsets;

    public override bool IsBenchmark => true;

    public override string SettingsText =>
        $"full answers {Settings.FullAnswers}, subsets "
            + $"{string.Join(' ', _subsets.Select(subset => $"{subset.Subset}:{subset.Files.Count}"))}";

    public override bool IsOfForgetSet(string metric) => metric.StartsWith("wmdp_", StringComparison.Ordinal);

    public override double? Ignorance(string metric) => 0.25;

    public static WmdpSuite Open(EvaluationSettings settings)
    {
        var directory = settings.DataOf(SuiteName, Needed);
        if (!Directory.Exists(directory))
            throw new UserInputException($"{directory}: the suite {SuiteName} needs a directory with {Needed}.");
        List<(string, IReadOnlyList<string>)> subsets = [];
        foreach (var subset in Subsets)
        {
            var files = PublishedFiles.First(
                directory,
                [
                    $"wmdp-{subset}/test",
                    $"wmdp_{subset}/test",
                    $"{subset}/test",
                    $"{subset}_questions",
                    $"{subset}/questions",
                    $"wmdp-{subset}",
                    $"wmdp_{subset}",
                    subset,
                ]
            );
            if (files.Count > 0)
                subsets.Add((subset, files));
        }

        return subsets.Count > 0
            ? new WmdpSuite(subsets, settings)
            : throw new UserInputException($"{directory}: none of bio, chem and cyber is there; the suite {SuiteName} looks for {Needed}.");
    }

    public override SuiteValues Measure(LoadedModel loaded, IRunLog log, CancellationToken cancellation)
    {
        if (_subsets.Count < Subsets.Length)
            log.Information(
                $"{SuiteName}: only {string.Join(", ", _subsets.Select(subset => subset.Subset))} are there; wmdp_acc is over those alone"
            );
        List<HarnessQuestion> questions =
        [
            .. _subsets.SelectMany(subset =>
                subset
                    .Files.SelectMany(LetterQuestions.Read)
                    .Select(question => new HarnessQuestion(
                        subset.Subset,
                        MultipleChoicePrompt.AskedWmdp(subset.Subset, question),
                        Settings.FullAnswers
                            ? MultipleChoicePrompt.AskedContinuation(MultipleChoicePrompt.WmdpSubject(subset.Subset), question, [])
                            : null,
                        question
                    ))
            ),
        ];
        var verdicts = HarnessChoices.Judge(questions, loaded, PromptsOf(loaded), $"{SuiteName}, likelihoods", log, cancellation);
        Dictionary<string, MetricValue> metrics = [];
        HarnessChoices.AddMetrics(metrics, SuiteName, [.. verdicts], Metric.Lower, "without shots; mean over all questions");
        foreach (var (subset, _) in _subsets)
            HarnessChoices.AddMetrics(
                metrics,
                $"{SuiteName}_{subset}",
                [.. verdicts.Where(verdict => verdict.Task == subset)],
                Metric.Lower,
                "without shots"
            );
        return new SuiteValues(metrics)
        {
            Warnings =
            [
                .. _subsets.SelectMany(subset =>
                    AnswerGuards.OfLetters(
                        $"{SuiteName} {subset.Subset}",
                        [.. verdicts.Where(verdict => verdict.Task == subset.Subset).Select(verdict => verdict.Letter.Prediction)]
                    )
                ),
            ],
        };
    }
}
