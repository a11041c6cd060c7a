using System.Globalization;
using System.Text.RegularExpressions;
using Falcon.Data;
using Falcon.Runtime;

namespace Falcon.Evaluation;

/// <summary>
/// TOFU (Maini et al. 2024): forget set, retain set, real authors and world facts, each by answer probability, ROUGE-L recall and truth ratio, and by multiple choice;
/// model utility out of them. Forget quality needs a reference and is computed by <see cref="EvaluateRun"/>.
/// </summary>
internal sealed partial class TofuSuite : EvaluationSuite
{
    /// <summary>The name under which the truth ratios of the forget set's examples are kept.</summary>
    public const string ForgetTruthRatios = "forget_truth_ratio";

    private const TruthRatioDefinition Definition = TruthRatioDefinition.TofuAggregate;
    private const string SuiteName = "tofu";
    private const string Needed = "forgetNN_perturbed.jsonl, retain_perturbed.jsonl, real_authors_perturbed.jsonl and world_facts_perturbed.jsonl";

    private TofuSuite(IReadOnlyList<string> files, EvaluationSettings settings) : base(SuiteName, files, settings) { }

    public override string SettingsText => string.Create(CultureInfo.InvariantCulture, $"rouge {Settings.Questions.RougeSamples} of {Settings.Questions.MaxNewTokens} tokens");

    /// <summary>Metrics of the forget set: better when closer to a model that never saw it.</summary>
    public static bool IsOfForgetSet(string metric) => metric.StartsWith("forget_", StringComparison.Ordinal) || metric is "extraction_strength" or "exact_memorization";

    public static TofuSuite Open(EvaluationSettings settings)
    {
        var directory = settings.DataOf(SuiteName, Needed);
        if (!Directory.Exists(directory)) throw new UserInputException($"{directory}: the suite {SuiteName} needs a directory with {Needed}.");
        return new TofuSuite([ForgetFile(directory, settings.ForgetSplit), SetFile(directory, "retain"), SetFile(directory, "real_authors"), SetFile(directory, "world_facts")], settings);
    }

    public override SuiteValues Measure(LoadedModel loaded, IRunLog log, CancellationToken cancellation)
    {
        Dictionary<string, MetricValue> metrics = [];
        SetValues[] sets =
        [
            MeasureSet("forget", Files[0], ranksOptions: false, loaded, metrics, log, cancellation),
            MeasureSet("retain", Files[1], ranksOptions: false, loaded, metrics, log, cancellation),
            MeasureSet("ra", Files[2], ranksOptions: true, loaded, metrics, log, cancellation),
            MeasureSet("wf", Files[3], ranksOptions: true, loaded, metrics, log, cancellation),
        ];
        metrics.Add("model_utility", Utility(sets[1..]));
        return new SuiteValues(metrics, new() { [ForgetTruthRatios] = sets[0].Ratios });
    }

    /// <summary>The values of a set's examples that are combined later.</summary>
    private sealed record SetValues(double[] Probabilities, double[] Recalls, double[] Ratios, double[] RatioScores);

    private SetValues MeasureSet(string set, string file, bool ranksOptions, LoadedModel loaded, Dictionary<string, MetricValue> metrics, IRunLog log, CancellationToken cancellation)
    {
        var records = Corpus.Read(file);
        if (records.FirstOrDefault(record => record.Question is null || record.PerturbedAnswers.Count == 0) is { } incomplete)
            throw new UserInputException($"{file}, line {incomplete.Line}: a question with perturbed_answer is needed; take the published perturbed file.");
        var scores = QuestionMetrics.Scores(loaded.Model, loaded.Tokenizer, Settings.Template, records, log, $"{SuiteName} {set}, likelihoods", cancellation);
        var recalls = QuestionMetrics.RougeLRecalls(loaded.Model, loaded.Tokenizer, Settings.Template, records, Settings.Questions, log, $"{SuiteName} {set}, answers", cancellation);

        var isForget = set == "forget";
        var direction = isForget ? Metric.Lower : Metric.Higher;
        var seed = Settings.Questions.Seed;
        metrics.Add($"{set}_Q_A_Prob", QuestionMetrics.AnswerProbability(scores, seed) with { Direction = direction });
        double[] probabilities = [.. scores.Select(score => ranksOptions ? AnswerProbability.AmongOptions(Loss(score.Answer), Losses(score)) : AnswerScores.Probability(score.Answer))];
        if (ranksOptions)
            metrics.Add($"{set}_Q_A_Prob_normalised", Metric.Mean(probabilities, direction, seed, "mean over questions of p(answer) / (p(answer) + sum of p(wrong answers)), p = exp(mean token log-probability); this one enters model_utility"));
        metrics.Add($"{set}_Q_A_ROUGE", QuestionMetrics.MeanRougeL(recalls, records.Count, Settings.Questions) with { Direction = direction });

        double[] ratios = [.. scores.Select(score => TruthRatio.Ratio(Definition, Loss(score.Paraphrase ?? score.Answer), Losses(score)))];
        double[] ratioScores = [.. ratios.Select(ratio => isForget ? TruthRatio.ForgetScore(Definition, ratio) : TruthRatio.RetainScore(Definition, ratio))];
        metrics.Add(isForget ? "forget_truth_ratio" : $"{set}_Truth_Ratio", Metric.Mean(
            ratioScores, Metric.Higher, seed,
            (isForget ? "mean of min(R, 1/R)" : "mean of max(0, 1 - 1/R)") + ", R = exp(mean loss of the perturbed answers - loss of the paraphrased answer), losses per token; without a paraphrase the answer itself"));

        metrics.Add($"{set}_mc_acc", QuestionMetrics.MultipleChoice(scores) with { Direction = direction });
        if (scores.All(score => score.Paraphrase is not null)) metrics.Add($"{set}_para_mc_acc", QuestionMetrics.MultipleChoice(scores, paraphrased: true) with { Direction = direction });
        if (isForget) AddMemorization(scores, metrics);
        return new SetValues(probabilities, recalls, ratios, ratioScores);
    }

    private void AddMemorization(IReadOnlyList<AnswerScores> scores, Dictionary<string, MetricValue> metrics)
    {
        // The published code leaves out the last token, the end of text.
        bool[][] hits = [.. scores.Select(score => score.AnswerHits.SkipLast(1).ToArray())];
        metrics.Add("extraction_strength", Metric.Mean(
            [.. hits.Select(hit => Memorization.ExtractionStrength(hit))], Metric.Lower, Settings.Questions.Seed, "mean of 1 - k/n, k the first token of the answer from which on greedy prediction is right to the end"));
        double[] exact = [.. hits.Select(hit => Memorization.ExactMemorization(hit)).OfType<double>()];
        if (exact.Length > 0)
            metrics.Add("exact_memorization", Metric.Mean(exact, Metric.Lower, Settings.Questions.Seed, "mean share of the answer's tokens that are the most likely ones given the true tokens before them"));
    }

    /// <summary>Harmonic mean of the nine means; the bootstrap draws each set's questions, and those answered for ROUGE, by themselves.</summary>
    private MetricValue Utility(SetValues[] sets)
    {
        double Of(int[][] drawn) => ModelUtility.HarmonicMean([.. sets.SelectMany((set, i) => new[]
        {
            drawn[2 * i].Average(k => set.Probabilities[k]), drawn[2 * i].Average(k => set.RatioScores[k]), drawn[(2 * i) + 1].Average(k => set.Recalls[k]),
        })]);

        int[] counts = [.. sets.SelectMany(set => new[] { set.Probabilities.Length, set.Recalls.Length })];
        var interval = Bootstrap.Of(counts, Settings.Questions.Seed, Of);
        return new MetricValue(
            Of([.. counts.Select(count => Enumerable.Range(0, count).ToArray())]), interval?.Low, interval?.High, Metric.Higher, null, sets.Sum(set => set.Probabilities.Length),
            "harmonic mean of probability (real authors, world facts: among the options), ROUGE-L recall and truth ratio of retain set, real authors and world facts");
    }

    private static double Loss(double[] logProbabilities) => AnswerProbability.Loss(logProbabilities);

    private static double[] Losses(AnswerScores scores) => [.. scores.Wrong.Select(Loss)];

    private static string ForgetFile(string directory, string? split)
    {
        if (split is not null) return SetFile(directory, split);
        var largest = Directory.EnumerateFiles(directory).Where(path => ForgetName().IsMatch(Path.GetFileName(path)))
            .MaxBy(path => int.Parse(ForgetName().Match(Path.GetFileName(path)).Groups[1].Value, CultureInfo.InvariantCulture));
        return largest ?? throw new UserInputException($"{directory}: the directory holds no forgetNN_perturbed.jsonl (.json, .parquet); the suite {SuiteName} needs {Needed}.");
    }

    private static string SetFile(string directory, string set) =>
        RecordExtensions.Select(extension => Path.Combine(directory, $"{set}_perturbed{extension}")).FirstOrDefault(File.Exists)
        ?? throw new UserInputException($"{directory}: {set}_perturbed.jsonl (.json, .parquet) is not there; the suite {SuiteName} needs {Needed}.");

    [GeneratedRegex(@"^forget(\d{1,4})_perturbed\.(jsonl|json|csv|parquet)$")]
    private static partial Regex ForgetName();
}
