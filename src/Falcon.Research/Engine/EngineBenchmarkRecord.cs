using Falcon.Runtime;

namespace Falcon.Research.Engine;

/// <summary>Seconds or ratios of the variants; null where one was not measured.</summary>
/// <param name="Baseline">The authors' loop.</param>
/// <param name="Uncached">Ours without caches.</param>
/// <param name="Cached">Ours with caches.</param>
/// <param name="Streamed">Ours with the frozen model read layer by layer.</param>
public sealed record EngineNumbers(double? Baseline, double? Uncached, double? Cached, double? Streamed);

/// <summary>Ours against the baseline: how many times less.</summary>
/// <param name="Uncached">Without caches.</param>
/// <param name="Cached">With caches.</param>
public sealed record EngineRatios(double? Uncached, double? Cached);

/// <summary>Peak resident memory in bytes; null where a variant was not measured.</summary>
/// <param name="Baseline">The authors' loop.</param>
/// <param name="Engine">Ours, the larger of without and with caches.</param>
/// <param name="Streamed">Ours, streamed.</param>
public sealed record EnginePeaks(long? Baseline, long? Engine, long? Streamed);

/// <summary>The result of <see cref="EngineBenchmark"/>.</summary>
/// <param name="Shape">Name of the shape.</param>
/// <param name="Layer">Target layer.</param>
/// <param name="StepSeconds">Median step after one warm-up.</param>
/// <param name="StepRatio">Measured.</param>
/// <param name="PredictedRatio">From operation counts (<see cref="OperationCounts"/>).</param>
/// <param name="PovRatio">
/// Literal offset vector over the official form, seconds; <paramref name="PovRatioFalcon"/> over the falcon form.
/// </param>
/// <param name="PovRatioFalcon">Literal over the projection onto the complement of the directions with 95 % of the energy.</param>
/// <param name="PovSeconds">Seconds of each form.</param>
/// <param name="PovDifference">Largest element of literal (float32) minus official (float64) vector.</param>
/// <param name="PovDifferenceExact">
/// The same with the literal form in float64, which shows what rounding decides in the float32 one.
/// </param>
/// <param name="PovDirections">Directions of the falcon form.</param>
/// <param name="PeakBytes">Peak resident memory of the processes.</param>
/// <param name="GemmFraction">Operations a second of our uncached step over those of the layer's matrix products alone.</param>
/// <param name="GemmFlops">The latter.</param>
/// <param name="LayerUnits">Predicted work in units of one layer's forward pass.</param>
/// <param name="LossDifference">
/// Largest difference of forget losses of baseline and ours over steps 0 and 1; null where the baseline was not measured.
/// </param>
/// <param name="Settings">Batch, length, steps, dtype, device, seed, layers of the model.</param>
/// <param name="Environment">The machine and versions.</param>
/// <param name="Processor">Name of the processor.</param>
/// <param name="Note">What is missing and why; empty where nothing is.</param>
/// <param name="Trials">Every measurement.</param>
public sealed record EngineBenchmarkRecord(
    string Shape,
    int Layer,
    EngineNumbers StepSeconds,
    EngineRatios StepRatio,
    EngineRatios PredictedRatio,
    double? PovRatio,
    double? PovRatioFalcon,
    IReadOnlyDictionary<string, double>? PovSeconds,
    double? PovDifference,
    double? PovDifferenceExact,
    int? PovDirections,
    EnginePeaks PeakBytes,
    double? GemmFraction,
    double? GemmFlops,
    EngineNumbers LayerUnits,
    double? LossDifference,
    IReadOnlyDictionary<string, string> Settings,
    EnvironmentRecord Environment,
    string Processor,
    string Note,
    IReadOnlyList<EngineTrialRecord> Trials
);

/// <summary>How the falcon program is started again for a child process.</summary>
/// <param name="FileName">The executable.</param>
/// <param name="Arguments">What comes before the verb.</param>
public sealed record ProgramStart(string FileName, IReadOnlyList<string> Arguments);

/// <summary>Settings of <see cref="EngineBenchmark"/>.</summary>
/// <param name="Shape">Name of the shape.</param>
/// <param name="Layer">Target layer.</param>
/// <param name="Steps">Timed steps of a process; one warm-up comes before them.</param>
/// <param name="Batch">Texts of a batch.</param>
/// <param name="Length">Tokens of a text.</param>
/// <param name="Rounds">How often the variants take turns.</param>
/// <param name="Seed">Seed of weights, tokens and vectors.</param>
/// <param name="Model">A directory written by <c>bench make-model</c>; null writes a temporary one.</param>
/// <param name="Layers">Another number of layers than the shape has; null for its own.</param>
/// <param name="SkipBaseline">Measure ours alone.</param>
public sealed record EngineBenchmarkSettings(
    string Shape,
    int Layer,
    int Steps = 3,
    int Batch = 4,
    int Length = 512,
    int Rounds = 1,
    ulong Seed = 0,
    string? Model = null,
    int? Layers = null,
    bool SkipBaseline = false
);
