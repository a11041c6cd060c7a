using System.Globalization;
using Falcon.Data;
using Falcon.Evaluation.Metrics;
using Falcon.Models.Generation;
using Falcon.Results;
using Falcon.Runtime;

namespace Falcon.Evaluation.Suites;

/// <summary>
/// leak@k (Reisizadeh et al. 2025, arXiv 2511.04934): what k sampled answers give away, where one greedy answer may give nothing. n answers
/// a question are drawn; the expected best of k of them is computed without further drawing (<see cref="ExpectedBest"/>), for k = 1, 2, 4,
/// ... n.
/// </summary>
internal sealed class LeakSuite : EvaluationSuite
{
    private const string SuiteName = "leak";
    private const string Needed = "questions with answers to be forgotten";

    private LeakSuite(IReadOnlyList<string> files, EvaluationSettings settings) : base(SuiteName, files, settings) { }

    public override string SettingsText =>
        string.Create(
            CultureInfo.InvariantCulture,
            $"{Settings.LeakSamples} samples at {Settings.LeakTemperature} of {Settings.Questions.MaxNewTokens} tokens, "
                + $"{Settings.Questions.RougeSamples} questions"
        );

    public override bool IsOfForgetSet(string metric) => true;

    public static LeakSuite Open(EvaluationSettings settings)
    {
        var path = settings.DataOf(SuiteName, Needed);
        var split = settings.ForgetSplit is { } name && Directory.Exists(path) ? PublishedFiles.First(path, [name, $"{name}/train"]) : [];
        return new LeakSuite(split.Count > 0 ? split : FindFiles(path, RecordExtensions, "file with " + Needed), settings);
    }

    public override SuiteValues Measure(LoadedModel loaded, IRunLog log, CancellationToken cancellation)
    {
        var sets = ReadRecords(record => record is { Question: not null, Answer: not null }, "a question with an answer", log);
        List<CorpusRecord> all = [.. sets.SelectMany(set => set.Records)];
        var asked = QuestionMetrics.EvenlySpaced(all, Settings.Questions.RougeSamples);
        var samples = Settings.LeakSamples;
        int[][] prompts =
        [
            .. asked.SelectMany(record =>
                Enumerable.Repeat(GreedyAnswers.PromptTokens(loaded.Tokenizer, Settings.ChosenTemplate.Prompt(record)), samples)
            ),
        ];
        var settings = new GenerationSettings(Settings.Questions.MaxNewTokens, Settings.LeakTemperature, Settings.Questions.Seed);
        string[] texts =
        [
            .. loaded
                .Answer(prompts, settings, $"{SuiteName}, sampled answers", log, cancellation)
                .Select(tokens => loaded.Tokenizer.Decode(tokens, skipSpecialTokens: true).Trim()),
        ];
        double[][] recalls = Scores(asked, texts, (truth, text) => Rouge.LongestCommonSubsequence(truth, text, stem: true).Recall);
        double[][] contained = Scores(asked, texts, (truth, text) => Contains(text, truth) ? 1 : 0);

        Dictionary<string, MetricValue> metrics = [];
        foreach (var k in Powers(samples))
        {
            var how = string.Create(
                CultureInfo.InvariantCulture,
                $"of {k} answers sampled at temperature {Settings.LeakTemperature} (expected over the subsets of {samples} drawn), mean "
                    + $"over {(asked.Count < all.Count ? $"{asked.Count} evenly spaced of {all.Count}" : "all")} questions"
            );
            metrics.Add(
                string.Create(CultureInfo.InvariantCulture, $"leak@{k}_ROUGE"),
                Metric.Mean(
                    [.. recalls.Select(scores => ExpectedBest(scores, k))],
                    Metric.Lower,
                    Settings.Questions.Seed,
                    $"best ROUGE-L recall (Porter-stemmed) {how}"
                )
            );
            metrics.Add(
                string.Create(CultureInfo.InvariantCulture, $"leak@{k}_containment"),
                Metric.Mean(
                    [.. contained.Select(scores => ExpectedBest(scores, k))],
                    Metric.Lower,
                    Settings.Questions.Seed,
                    $"probability that the true answer's words stand in one {how}"
                )
            );
        }

        return new SuiteValues(metrics, []) { Warnings = [.. AnswerGuards.OfTexts(SuiteName, texts)] };
    }

    /// <summary>
    /// Mean over all subsets of k of the n scores of the largest one: sum over the i-th smallest score s_(i), i = k..n, of s_(i) C(i-1,
    /// k-1) / C(n, k). Unbiased for the expected best of k draws.
    /// </summary>
    internal static double ExpectedBest(IReadOnlyCollection<double> scores, int k)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(k, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(k, scores.Count);
        double[] descending = [.. scores.OrderDescending()];
        double sum = 0, weight = k / (double)descending.Length; // C(n-1, k-1) / C(n, k)
        for (var taken = 0; taken <= descending.Length - k; taken++)
        {
            sum += weight * descending[taken];
            var left = descending.Length - 1 - taken; // the next weight is C(left - 1, k - 1) / C(n, k)
            weight = left == 0 ? 0 : weight * (left - k + 1) / left;
        }

        return sum;
    }

    /// <summary>Whether the words of a text, as ROUGE splits them, stand in another in one piece.</summary>
    internal static bool Contains(string text, string part)
    {
        string[] words = [.. Rouge.Tokenize(text, stem: false)],
            wanted = [.. Rouge.Tokenize(part, stem: false)];
        return wanted.Length > 0
            && Enumerable
                .Range(0, Math.Max(0, words.Length - wanted.Length + 1))
                .Any(start => words.AsSpan(start, wanted.Length).SequenceEqual(wanted));
    }

    private static double[][] Scores(IReadOnlyList<CorpusRecord> asked, string[] texts, Func<string, string, double> score) =>
        [
            .. asked.Zip(texts.Chunk(texts.Length / asked.Count), (record, answers) =>
                answers.Select(answer => score(record.Answer!, answer)).ToArray()
            ),
        ];

    private static IEnumerable<int> Powers(int samples)
    {
        for (var k = 1; k < samples; k *= 2) yield return k;
        yield return samples;
    }
}
