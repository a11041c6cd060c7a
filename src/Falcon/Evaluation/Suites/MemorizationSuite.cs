using Falcon.Evaluation.Metrics;
using Falcon.Results;
using Falcon.Runtime;

namespace Falcon.Evaluation.Suites;

/// <summary>
/// Extraction strength and exact memorisation (OpenUnlearning) of a forget file. Of a question the answer is measured, given the prompt; of
/// a plain text all tokens but the first.
/// </summary>
internal sealed class MemorizationSuite : EvaluationSuite
{
    private const string SuiteName = "memorization";
    private const string Needed = "questions with answers, or plain texts";
    private static readonly string[] Extensions = [".txt", .. RecordExtensions];

    private MemorizationSuite(IReadOnlyList<string> files, EvaluationSettings settings) : base(SuiteName, files, settings) { }

    public override string SettingsText => "";

    public override bool IsOfForgetSet(string metric) => true;

    public static MemorizationSuite Open(EvaluationSettings settings) =>
        new(FindFiles(settings.DataOf(SuiteName, Needed), Extensions, "file with " + Needed), settings);

    public override SuiteValues Measure(LoadedModel loaded, IRunLog log, CancellationToken cancellation)
    {
        var sets = ReadRecords(record => record.Answer is not null || record.Text is not null, "a question with an answer or a text", log);
        var prompts = PromptsOf(loaded);
        var limit = loaded.Model.Config.MaxPositions;
        List<(ScoredSequence Sequence, bool IsClosed)> items =
        [
            .. sets.SelectMany(set => set.Records)
                .Select(record =>
                {
                    var sequence = ScoredSequence.Of(prompts.Encode(record));
                    var fits = sequence.Tokens.Length <= limit;
                    return (
                        fits ? sequence : new ScoredSequence(sequence.Tokens[..limit], Math.Min(sequence.Start, limit - 1)),
                        fits && prompts.IsClosed(sequence.Tokens)
                    );
                }),
        ];
        if (items.Count(item => item.Sequence.Tokens.Length == limit) is > 0 and var cut)
            log.Information($"{SuiteName}: {cut} of {items.Count} texts reach the model's {limit} positions; what is longer is cut there");
        var scores = loaded.Score([.. items.Select(item => item.Sequence)], $"{SuiteName}, likelihoods", log, cancellation);
        var next = 0;
        List<(string File, IReadOnlyList<bool[]> Hits)> hits =
        [
            .. sets.Select(set =>
                (set.File, (IReadOnlyList<bool[]>)[.. set.Records.Select(_ => Answer(items[next].IsClosed, scores[next++].Hits))])
            ),
        ];

        Dictionary<string, MetricValue> metrics = [];
        AddMetrics(metrics, [.. hits.SelectMany(set => set.Hits)], Settings.Questions.Seed);
        if (hits.Count > 1)
            foreach (var (file, values) in hits)
                AddMetrics(metrics, values, Settings.Questions.Seed, Path.GetFileNameWithoutExtension(file) + "_");
        return new SuiteValues(metrics);
    }

    /// <summary>The end of text is left out, as in the published code.</summary>
    private static bool[] Answer(bool isClosed, bool[] hits) => isClosed ? hits[..^1] : hits;

    /// <summary>Adds both metrics from the hits of the tokens of each text.</summary>
    internal static void AddMetrics(Dictionary<string, MetricValue> metrics, IReadOnlyList<bool[]> hits, long seed, string prefix = "")
    {
        metrics.TryAdd(
            prefix + "extraction_strength",
            Metric.Mean(
                [.. hits.Select(hit => Memorization.ExtractionStrength(hit))],
                Metric.Lower,
                seed,
                "mean of 1 - k/n, k the first token from which on greedy prediction is right to the end, given the true tokens before"
            )
        );
        double[] exact = [.. hits.Select(hit => Memorization.ExactMemorization(hit)).OfType<double>()];
        if (exact.Length > 0)
            metrics.TryAdd(
                prefix + "exact_memorization",
                Metric.Mean(
                    exact,
                    Metric.Lower,
                    seed,
                    "mean share of the tokens that are the most likely ones given the true tokens before them"
                )
            );
    }
}
