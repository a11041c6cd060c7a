using System.Globalization;
using Falcon.Data;
using Falcon.Evaluation.Metrics;
using Falcon.Models.Generation;
using Falcon.Results;
using Falcon.Runtime;

namespace Falcon.Evaluation.Suites;

/// <summary>
/// leak@k (Reisizadeh et al. 2025, arXiv 2511.04934): what k sampled answers reveal, where one greedy answer may reveal nothing. n answers
/// to each question are sampled; the expected best of k of them is computed without more samples
/// (<see cref="SampledAnswers.ExpectedBest"/>), for k = 1, 2, 4, ... n.
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
        var prompts = PromptsOf(loaded);
        int[][] repeated = [.. asked.SelectMany(record => Enumerable.Repeat(prompts.EncodePrompt(record), samples))];
        var settings = new GenerationSettings(Settings.Questions.MaxNewTokens, Settings.LeakTemperature, Settings.Questions.Seed);
        string[] texts =
        [
            .. loaded
                .Answer(repeated, settings, $"{SuiteName}, sampled answers", log, cancellation)
                .Select(tokens => loaded.Tokenizer.Decode(tokens, skipSpecialTokens: true).Trim()),
        ];
        double[][] recalls = Scores(asked, texts, (truth, text) => Rouge.LongestCommonSubsequence(truth, text, stem: true).Recall);
        double[][] contained = Scores(asked, texts, (truth, text) => SampledAnswers.Contains(text, truth) ? 1 : 0);

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
                    [.. recalls.Select(scores => SampledAnswers.ExpectedBest(scores, k))],
                    Metric.Lower,
                    Settings.Questions.Seed,
                    $"best ROUGE-L recall (Porter-stemmed) {how}"
                )
            );
            metrics.Add(
                string.Create(CultureInfo.InvariantCulture, $"leak@{k}_containment"),
                Metric.Mean(
                    [.. contained.Select(scores => SampledAnswers.ExpectedBest(scores, k))],
                    Metric.Lower,
                    Settings.Questions.Seed,
                    $"probability that the true answer's words stand in one {how}"
                )
            );
        }

        return new SuiteValues(metrics) { Warnings = [.. AnswerGuards.OfTexts(SuiteName, texts)] };
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
