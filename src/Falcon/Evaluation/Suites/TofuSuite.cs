using System.Globalization;
using System.Text.RegularExpressions;
using Falcon.Data;
using Falcon.Evaluation.Metrics;
using Falcon.Results;
using Falcon.Runtime;

namespace Falcon.Evaluation.Suites;

/// <summary>
/// TOFU (Maini et al. 2024): forget set, retain set, real authors and world facts, each by answer probability, ROUGE-L recall and truth
/// ratio, and by multiple choice; model utility is computed from them. Forget quality needs a reference (<see cref="Compare"/>).
/// </summary>
internal sealed partial class TofuSuite : EvaluationSuite
{
    /// <summary>The name under which the truth ratios of the forget set's examples are kept.</summary>
    public const string ForgetTruthRatios = "forget_truth_ratio";

    private const TruthRatioDefinition Definition = TruthRatioDefinition.TofuAggregate;
    private const string SuiteName = "tofu";
    private const string Needed =
        "forgetNN_perturbed.jsonl, retain_perturbed.jsonl, real_authors_perturbed.jsonl and world_facts_perturbed.jsonl";

    private readonly IReadOnlyList<(string Set, IReadOnlyList<string> Files)> _sets;

    private TofuSuite(IReadOnlyList<(string Set, IReadOnlyList<string> Files)> sets, EvaluationSettings settings)
        : base(SuiteName, [.. sets.SelectMany(set => set.Files)], settings) => _sets = sets;

    public override bool IsBenchmark => true;

    public override string SettingsText =>
        string.Create(CultureInfo.InvariantCulture, $"rouge {Settings.Questions.RougeSamples} of {Settings.Questions.MaxNewTokens} tokens");

    /// <summary>Metrics of the forget set: better when closer to a model that never saw it.</summary>
    public override bool IsOfForgetSet(string metric) =>
        metric.StartsWith("forget_", StringComparison.Ordinal) || metric is "extraction_strength" or "exact_memorization";

    public override double? Ignorance(string metric) =>
        metric switch
        {
            "forget_Q_A_Prob" or "extraction_strength" => 0.1,
            "forget_Q_A_ROUGE" => 0.3,
            _ => null,
        };

    public static TofuSuite Open(EvaluationSettings settings)
    {
        var directory = settings.DataOf(SuiteName, Needed);
        if (!Directory.Exists(directory))
            throw new UserInputException($"{directory}: the suite {SuiteName} needs a directory with {Needed}.");
        return new TofuSuite(
            [
                ("forget", SetFiles(directory, settings.ForgetSplit ?? LargestForgetSet(directory))),
                .. new[] { ("retain", "retain"), ("ra", "real_authors"), ("wf", "world_facts") }.Select(set =>
                    (set.Item1, SetFiles(directory, set.Item2))
                ),
            ],
            settings
        );
    }

    /// <summary>All sets in one likelihood pass and one generation pass.</summary>
    public override SuiteValues Measure(LoadedModel loaded, IRunLog log, CancellationToken cancellation)
    {
        List<(string Set, IReadOnlyList<CorpusRecord> Records, IReadOnlyList<CorpusRecord> Asked)> sets = [];
        foreach (var (set, files) in _sets)
        {
            List<CorpusRecord> records = [.. files.SelectMany(Read)];
            sets.Add((set, records, QuestionMetrics.EvenlySpaced(records, Settings.Questions.RougeSamples)));
        }

        List<CorpusRecord> all = [.. sets.SelectMany(set => set.Records)];
        var prompts = PromptsOf(loaded);
        var scores = loaded.ScoreAnswers(all, prompts, $"{SuiteName}, likelihoods", log, cancellation);
        var answers = loaded.GreedyTexts(
            [.. sets.SelectMany(set => set.Asked).Select(prompts.EncodePrompt)],
            Settings.Questions.MaxNewTokens,
            $"{SuiteName}, answers",
            log,
            cancellation
        );

        Dictionary<string, MetricValue> metrics = [];
        List<string> warnings = [];
        List<SetValues> values = [];
        var (scored, answered) = (0, 0);
        foreach (var (set, records, asked) in sets)
        {
            List<string> texts = [.. answers.Skip(answered).Take(asked.Count)];
            values.Add(
                MeasureSet(
                    set,
                    [.. scores.Skip(scored).Take(records.Count)],
                    [.. asked.Zip(texts, (record, text) => Rouge.LongestCommonSubsequence(record.Answer!, text, stem: true).Recall)],
                    metrics
                )
            );
            warnings.AddRange(AnswerGuards.OfTexts($"{SuiteName} {set}", texts));
            (scored, answered) = (scored + records.Count, answered + asked.Count);
        }

        metrics.Add("model_utility", Utility([.. values.Skip(1)]));
        return new SuiteValues(metrics)
        {
            Examples = new Dictionary<string, IReadOnlyList<double>> { [ForgetTruthRatios] = values[0].Ratios },
            Warnings = warnings,
        };
    }

    private static IReadOnlyList<CorpusRecord> Read(string file)
    {
        var records = Corpus.Read(file);
        return records.FirstOrDefault(record => record.Question is null || record.PerturbedAnswers.Count == 0) is { } incomplete
            ? throw new UserInputException(
                $"{file}, line {incomplete.Line}: a question with perturbed_answer is needed; take the published perturbed file."
            )
            : records;
    }

    public override IEnumerable<(string Name, MetricValue Value)> Compare(
        SuiteMeasurement measured,
        SuiteMeasurement? reference,
        string referenceName
    )
    {
        if (reference is null) yield break;
        var test = KolmogorovSmirnov.Test([.. measured.Examples[ForgetTruthRatios]], [.. reference.Examples[ForgetTruthRatios]]);
        yield return (
            "forget_quality",
            new MetricValue(
                test.PValue,
                null,
                null,
                Metric.Higher,
                1,
                measured.Examples[ForgetTruthRatios].Count,
                $"p-value of the two-sided two-sample Kolmogorov-Smirnov test between the truth ratios of this model and of "
                    + $"{referenceName} on the forget set; a p-value, so without an interval"
            )
        );
        yield return (
            "forget_ks_distance",
            new MetricValue(
                test.Statistic,
                null,
                null,
                Metric.Lower,
                0,
                measured.Examples[ForgetTruthRatios].Count,
                $"largest distance between the distributions of the truth ratios of this model and of {referenceName} (the statistic "
                    + $"behind forget_quality)"
            )
        );
    }

    /// <summary>The values of a set's examples that are combined later.</summary>
    private sealed record SetValues(double[] Probabilities, double[] Recalls, double[] Ratios, double[] RatioScores);

    private SetValues MeasureSet(string set, IReadOnlyList<AnswerScores> scores, double[] recalls, Dictionary<string, MetricValue> metrics)
    {
        var isForget = set == "forget";
        var ranksOptions = set is "ra" or "wf";
        var direction = isForget ? Metric.Lower : Metric.Higher;
        var seed = Settings.Questions.Seed;
        metrics.Add($"{set}_Q_A_Prob", QuestionMetrics.AnswerProbability(scores, seed) with { Direction = direction });
        double[] probabilities =
        [
            .. scores.Select(score =>
                ranksOptions ? AnswerProbability.AmongOptions(Loss(score.Answer), Losses(score)) : AnswerScores.Probability(score.Answer)
            ),
        ];
        if (ranksOptions)
            metrics.Add(
                $"{set}_Q_A_Prob_normalised",
                Metric.Mean(
                    probabilities,
                    direction,
                    seed,
                    "mean over questions of p(answer) / (p(answer) + sum of p(wrong answers)), p = exp(mean token log-probability); this "
                        + "one enters model_utility"
                )
            );
        metrics.Add(
            $"{set}_Q_A_ROUGE",
            QuestionMetrics.MeanRougeL(recalls, scores.Count, Settings.Questions) with
            {
                Direction = direction,
            }
        );

        double[] ratios = [.. scores.Select(score => TruthRatio.Ratio(Definition, Loss(score.Paraphrase ?? score.Answer), Losses(score)))];
        double[] ratioScores =
        [
            .. ratios.Select(ratio => isForget ? TruthRatio.ForgetScore(Definition, ratio) : TruthRatio.RetainScore(Definition, ratio)),
        ];
        metrics.Add(
            isForget ? "forget_truth_ratio" : $"{set}_Truth_Ratio",
            Metric.Mean(
                ratioScores,
                Metric.Higher,
                seed,
                (isForget ? "mean of min(R, 1/R)" : "mean of max(0, 1 - 1/R)")
                    + ", R = exp(mean loss of the perturbed answers - loss of the paraphrased answer), losses per token; without a "
                    + "paraphrase the answer itself"
            )
        );

        metrics.Add($"{set}_mc_acc", QuestionMetrics.MultipleChoice(scores) with { Direction = direction });
        if (scores.All(score => score.Paraphrase is not null))
            metrics.Add($"{set}_para_mc_acc", QuestionMetrics.MultipleChoice(scores, paraphrased: true) with { Direction = direction });
        // The published code leaves out the last token, the end of text.
        if (isForget) MemorizationSuite.AddMetrics(metrics, [.. scores.Select(score => score.AnswerHits.SkipLast(1).ToArray())], seed);
        return new SetValues(probabilities, recalls, ratios, ratioScores);
    }

    /// <summary>
    /// Harmonic mean of the nine means. The bootstrap draws the questions of each set, and those answered for ROUGE, by themselves.
    /// </summary>
    private MetricValue Utility(SetValues[] sets)
    {
        double Of(int[][] drawn) =>
            ModelUtility.HarmonicMean([
                .. sets.SelectMany(
                    (set, i) =>
                        new[]
                        {
                            drawn[2 * i].Average(k => set.Probabilities[k]),
                            drawn[2 * i].Average(k => set.RatioScores[k]),
                            drawn[(2 * i) + 1].Average(k => set.Recalls[k]),
                        }
                ),
            ]);

        int[] counts = [.. sets.SelectMany(set => new[] { set.Probabilities.Length, set.Recalls.Length })];
        var interval = Bootstrap.Of(counts, Settings.Questions.Seed, Of);
        return new MetricValue(
            Of([.. counts.Select(count => Enumerable.Range(0, count).ToArray())]),
            interval?.Low,
            interval?.High,
            Metric.Higher,
            null,
            sets.Sum(set => set.Probabilities.Length),
            "harmonic mean of probability (real authors, world facts: among the options), ROUGE-L recall and truth ratio of retain set, "
                + "real authors and world facts"
        );
    }

    private static double Loss(double[] logProbabilities) => AnswerProbability.Loss(logProbabilities);

    private static double[] Losses(AnswerScores scores) => [.. scores.Wrong.Select(Loss)];

    private static string LargestForgetSet(string directory)
    {
        var names = Directory
            .EnumerateFileSystemEntries(directory)
            .Select(path => ForgetName().Match(Path.GetFileName(path)))
            .Where(match => match.Success)
            .ToList();
        return names.Count > 0
            ? names.MaxBy(match => int.Parse(match.Groups[2].Value, CultureInfo.InvariantCulture))!.Groups[1].Value
            : throw new UserInputException(
                $"{directory}: the directory holds no forgetNN_perturbed.jsonl (.json, .parquet); the suite {SuiteName} needs {Needed}."
            );
    }

    private static IReadOnlyList<string> SetFiles(string directory, string set) =>
        PublishedFiles.First(directory, [$"{set}_perturbed", $"{set}_perturbed/train"]) is { Count: > 0 } files
            ? files
            : throw new UserInputException(
                $"{directory}: {set}_perturbed.jsonl (.json, .parquet, or a folder of that name) is not there; the suite {SuiteName} "
                    + $"needs {Needed}."
            );

    [GeneratedRegex(@"^(forget(\d{1,4}))_perturbed(?:\.(?:jsonl|json|csv|parquet))?$")]
    private static partial Regex ForgetName();
}
