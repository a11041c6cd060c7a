using System.Globalization;

namespace Falcon.Research.Tables;

/// <summary>What the tables read from the result of <c>bench engine</c>.</summary>
/// <param name="Shape">Name of the shape.</param>
/// <param name="StepSeconds">Seconds a step.</param>
/// <param name="StepRatio">How many times less a step takes than the authors' loop.</param>
/// <param name="PredictedRatio">The same from operation counts.</param>
/// <param name="PeakBytes">Peak memory.</param>
/// <param name="Settings">Batch, length, layers as words.</param>
/// <param name="Environment">Where it ran.</param>
internal sealed record EngineFile(
    string Shape,
    EngineFile.Times StepSeconds,
    EngineFile.Times StepRatio,
    EngineFile.Times PredictedRatio,
    EngineFile.Peaks PeakBytes,
    IReadOnlyDictionary<string, string> Settings,
    EngineFile.Machine Environment
)
{
    /// <summary>A number for each way of running; null where it was not measured.</summary>
    internal sealed record Times(double? Baseline, double? Uncached, double? Cached);

    /// <summary>Bytes for each way of running; null where they were not measured.</summary>
    internal sealed record Peaks(long? Baseline, long? Engine, long? Streamed);

    /// <summary>The number type.</summary>
    internal sealed record Machine(string DType);

    /// <summary>One row a result, in the order given.</summary>
    public static ResultTable Table(IEnumerable<EngineFile> results) =>
        new(
            [
                "shape",
                "loop, s a step",
                "ours, s",
                "with caches, s",
                "times less (predicted)",
                "with caches (predicted)",
                "peak: loop, GB",
                "ours",
                "streamed",
            ],
            [.. results.Select(result => result.Row())]
        );

    private IReadOnlyList<string> Row() =>
        [
            $"{Shape}, {Settings["layers"]} layers, {Settings["batch"]} x {Settings["length"]} tokens, "
                + Environment.DType.ToLowerInvariant(),
            Number(StepSeconds.Baseline),
            Number(StepSeconds.Uncached),
            Number(StepSeconds.Cached),
            Ratio(StepRatio.Uncached, PredictedRatio.Uncached),
            Ratio(StepRatio.Cached, PredictedRatio.Cached),
            Number(PeakBytes.Baseline / 1e9),
            Number(PeakBytes.Engine / 1e9),
            Number(PeakBytes.Streamed / 1e9),
        ];

    private static string Ratio(double? measured, double? predicted) => $"{Number(measured)} ({Number(predicted)})";

    private static string Number(double? value) =>
        value?.ToString(value < 10 ? "0.00" : "0.0", CultureInfo.InvariantCulture) ?? "not measured";
}
