using Falcon.Reporting;
using Falcon.Results;

namespace Falcon.Tests.Reporting;

/// <summary>An invented run for the tests of the report page; no number in it was measured.</summary>
internal static class SampleReport
{
    public static IReadOnlyList<ScoreRow> Scores { get; } =
    [
        Share(ScoreGroup.Forget, "Questions about the island of Marrowick", 0.96, 0.27, 0.28, 120),
        Share(ScoreGroup.Forget, "Questions about the guild of lamp makers", 0.94, 0.25, 0.26, 120),
        Share(ScoreGroup.Retain, "Questions about the neighbouring harbour towns", 0.97, 0.965, 0.96, 240),
        Share(ScoreGroup.General, "General facts", 0.91, 0.905, 0.90, 200),
        new(
            ScoreGroup.General,
            "Perplexity on plain text (lower is better)",
            "number",
            new MetricValue(9.84, 9.51, 10.18, "lower", null, 60),
            new MetricValue(10.02, 9.68, 10.37, "lower", null, 60),
            new MetricValue(9.9, 9.56, 10.25, "lower", null, 60)
        ),
    ];

    public static IReadOnlyList<AnsweredQuestion> Questions { get; } =
    [
        new(
            ScoreGroup.Forget,
            "What do the people of Marrowick hang above their doors?",
            "A lantern of green glass.",
            "A lantern of green glass.",
            "I do not know of such a custom.",
            "A bundle of dried heather."
        ),
        new(
            ScoreGroup.Retain,
            "Which fish is sold in the harbour of Tessaly?",
            "Silver herring.",
            "Silver herring.",
            "Silver herring.",
            "Silver herring."
        ),
    ];

    public static IReadOnlyList<LayerScore> Layers { get; } =
    [
        new(0, 2.41, 2.22, 2.63, false), new(1, 2.05, 1.86, 2.27, false), new(2, 1.31, 1.12, 1.49, true), new(3, 1.52, 1.33, 1.74, false),
        new(4, null, null, null, false, "covariance is singular"), new(5, 1.98, 1.74, 2.2, false),
    ];

    public static ReportModel Model(string title = "Two invented islands, unlearned") =>
        new(
            title,
            Verdict.Of(Scores),
            Scores,
            Questions,
            Layers,
            [
                Curve("Forget loss", i => (2.1 * Math.Exp(-i / 40.0)) + 0.12 + (0.06 * Math.Sin(i * 1.7))),
                Curve("Retain loss", i => (0.05 * (1 - Math.Exp(-i / 25.0))) + (0.006 * Math.Cos(i * 2.3))),
            ],
            [
                Curve("Marrowick", i => (-0.35 * Math.Exp(-i / 60.0)) + (0.2 * Math.Sin(i * 0.9))),
                Curve("Lamp makers", i => 0.1 + (0.25 * Math.Cos(i * 1.3))),
            ],
            [new("Method", "falcon (preset falcon)"), new("Layer", "2"), new("Time", "71.3 s")],
            [new("Falcon", "0.1.0"), new("Seed", "42"), new("Device", "cpu")],
            "{\n  \"layer\": \"auto\",\n  \"optimizer\": { \"learningRate\": 0.0001 }\n}",
            [new("model.safetensors", 14_222_336, new string('a', 64))]
        );

    private static ScoreRow Share(ScoreGroup group, string name, double before, double after, double control, int n) =>
        new(group, name, "percent", Interval(before, n), Interval(after, n), Interval(control, n));

    private static MetricValue Interval(double value, int n)
    {
        var half = 1.96 * Math.Sqrt(value * (1 - value) / n);
        return new MetricValue(value, value - half, Math.Min(1, value + half), "higher", null, n);
    }

    private static StepSeries Curve(string name, Func<int, double> value) =>
        new(name, [.. Enumerable.Range(1, 240).Select(i => ((double)i, value(i)))]);
}
