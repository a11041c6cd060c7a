using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Falcon.Evaluation.Metrics;
using Falcon.Models;
using Falcon.Models.Families;
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

/// <summary>
/// The authors' loop and ours side by side on one machine: same random weights, tokens and dtype, each variant in processes of its own that
/// take turns.
/// </summary>
public static class EngineBenchmark
{
    private static readonly string[] Variants = ["baseline", "uncached", "cached", "streamed"];

    /// <summary>Runs the measurement.</summary>
    /// <param name="settings">What to measure.</param>
    /// <param name="program">How to start a child process.</param>
    /// <param name="threads">Threads of a child; null for all cores.</param>
    /// <param name="context">Log, device, dtype, cancellation.</param>
    /// <exception cref="UserInputException">The layer is not in the model, or the model directory has another shape.</exception>
    /// <exception cref="OperationCanceledException">Interrupted; the child is ended.</exception>
    public static EngineBenchmarkRecord Run(EngineBenchmarkSettings settings, ProgramStart program, int? threads, RunContext context)
    {
        var folder = Directory.CreateTempSubdirectory("falcon-bench-").FullName;
        try
        {
            var model = settings.Model
                ?? RandomCheckpoint.Write(settings.Shape, Path.Combine(folder, "model"), settings.Seed, settings.Layers, context).Directory;
            var config = ModelConfig.Load(model);
            if (settings.Layer < 0 || settings.Layer >= config.LayerCount)
                throw new UserInputException($"--layer {settings.Layer}: the model has layers 0 to {config.LayerCount - 1}.");
            var compute = ComputeOptions.Choose(context.Device, context.DType == "auto" ? "bfloat16" : context.DType, 0);
            List<EngineTrialRecord> trials = [];
            List<string> notes = [];
            var children = new ChildProcesses(program, folder, threads, compute, context);
            foreach (var name in new[] { "products", "vectors" }) trials.Add(children.Run(Trial(name)));
            var due = Variants.Where(variant => IsPossible(variant, settings, config, compute, notes)).ToList();
            for (var round = 0; round < settings.Rounds; round++)
                foreach (var variant in due) trials.Add(children.Run(Trial(variant)));
            return Summary(settings, config, compute, context, trials, notes);

            EngineTrialSettings Trial(string variant) =>
                new(variant, model, settings.Layer, settings.Steps + 1, settings.Batch, settings.Length, settings.Seed);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static bool IsPossible(
        string variant,
        EngineBenchmarkSettings settings,
        ModelConfig config,
        ComputeOptions compute,
        List<string> notes
    )
    {
        if (variant == "streamed" && compute.Device.type == TorchSharp.DeviceType.CUDA)
        {
            notes.Add("streamed: for the memory of the processor only");
            return false;
        }

        if (variant != "baseline") return true;
        if (settings.SkipBaseline)
        {
            notes.Add("baseline: left out as asked");
            return false;
        }

        var needed = BaselineBytes(settings, config, compute);
        var available = PeakMemory.Available();
        if (compute.Device.type == TorchSharp.DeviceType.CUDA || needed <= available)
            return true;
        notes.Add(
            string.Create(
                CultureInfo.InvariantCulture,
                $"baseline: two models, gradients and a whole graph need about {needed / 1e9:0.0} GB, {available / 1e9:0.0} GB are "
                    + $"available"
            )
        );
        return false;
    }

    /// <summary>
    /// Predicted peak of the authors' loop: two models, gradients up to the hook, and what a whole pass with logits keeps for a backward
    /// pass.
    /// </summary>
    internal static long BaselineBytes(EngineBenchmarkSettings settings, ModelConfig config, ComputeOptions compute)
    {
        long element = compute.DType == TorchSharp.torch.ScalarType.Float32 ? 4 : 2,
            tokens = (long)settings.Batch * settings.Length;
        long Bytes(Func<string, bool> include) =>
            WeightNames
                .Expected(config)
                .Where(item => include(item.Name))
                .Sum(item => item.Shape.Aggregate(element, (product, size) => product * size));
        var gradients = Bytes(name => WeightNames.LayerOf(name) <= settings.Layer);
        long queries = (long)config.HeadCount * config.HeadSize;
        var kept =
            tokens
            * config.LayerCount
            * (element * (4L * config.IntermediateSize + 6L * config.HiddenSize + 5 * queries) + 16L * config.HiddenSize);
        return 2 * Bytes(_ => true) + gradients + kept + tokens * config.VocabularySize * element + (400L << 20);
    }

    private static EngineBenchmarkRecord Summary(
        EngineBenchmarkSettings settings,
        ModelConfig config,
        ComputeOptions compute,
        RunContext context,
        List<EngineTrialRecord> trials,
        List<string> notes
    )
    {
        List<EngineTrialRecord> Of(string variant) => [.. trials.Where(trial => trial.Variant == variant)];
        double? Seconds(string variant) =>
            Of(variant) is { Count: > 0 } some ? Median.Of(some.SelectMany(trial => trial.StepSeconds.Skip(1))) : null;
        long? Peak(params string[] variants) => variants.SelectMany(Of).Select(trial => (long?)trial.PeakBytes).Max();
        var counts = OperationCounts.Of(config, settings.Batch, settings.Length, settings.Layer, Math.Max(0, settings.Layer - 2));
        var seconds = new EngineNumbers(Seconds("baseline"), Seconds("uncached"), Seconds("cached"), Seconds("streamed"));
        var vectors = Of("vectors")[0];
        var pov = vectors.VectorSeconds!;
        var products = Of("products")[0].FlopsPerSecond!.Value;
        double? difference =
            Of("baseline") is [var theirs, ..] && Of("uncached") is [var ours, ..]
                ? theirs.ForgetLosses.Zip(ours.ForgetLosses).Take(2).Max(pair => Math.Abs(pair.First - pair.Second))
                : null;
        Dictionary<string, string> used = new()
        {
            ["batch"] = settings.Batch.ToString(CultureInfo.InvariantCulture),
            ["length"] = settings.Length.ToString(CultureInfo.InvariantCulture),
            ["steps"] = settings.Steps.ToString(CultureInfo.InvariantCulture),
            ["rounds"] = settings.Rounds.ToString(CultureInfo.InvariantCulture),
            ["layers"] = config.LayerCount.ToString(CultureInfo.InvariantCulture),
            ["trained"] = "mlp.down_proj of three layers",
        };
        return new EngineBenchmarkRecord(
            settings.Shape,
            settings.Layer,
            seconds,
            new EngineRatios(seconds.Baseline / seconds.Uncached, seconds.Baseline / seconds.Cached),
            new EngineRatios(counts.Ratio.Uncached, counts.Ratio.Cached),
            pov["literal"] / pov["official"],
            pov["literal"] / pov["falcon"],
            pov,
            vectors.VectorDifference,
            vectors.ExactVectorDifference,
            vectors.FalconDirections,
            new EnginePeaks(Peak("baseline"), Peak("uncached", "cached"), Peak("streamed")),
            counts.Uncached / seconds.Uncached / products,
            products,
            new EngineNumbers(
                counts.Baseline / counts.LayerForward,
                counts.Uncached / counts.LayerForward,
                counts.Cached / counts.LayerForward,
                null
            ),
            difference,
            used,
            EnvironmentRecord.Capture(compute.Device.ToString(), compute.DType.ToString(), (long)settings.Seed, context.Clock),
            Processor(),
            string.Join("; ", notes),
            trials
        );
    }

    private static string Processor()
    {
        var line = File.Exists("/proc/cpuinfo")
            ? File.ReadLines("/proc/cpuinfo").FirstOrDefault(line => line.StartsWith("model name", StringComparison.Ordinal))
            : null;
        return line is null
            ? System.Runtime.InteropServices.RuntimeInformation.ProcessArchitecture.ToString()
            : line[(line.IndexOf(':', StringComparison.Ordinal) + 1)..].Trim();
    }

    private sealed class ChildProcesses(ProgramStart program, string folder, int? threads, ComputeOptions compute, RunContext context)
    {
        private int _count;

        public EngineTrialRecord Run(EngineTrialSettings settings)
        {
            context.Log.Information($"measuring {settings.Variant}");
            var (asked, answer) = (Path.Combine(folder, $"{_count}.json"), Path.Combine(folder, $"{_count++}.result.json"));
            File.WriteAllText(asked, JsonSerializer.Serialize(settings, ResultJson.Options));
            var start = new ProcessStartInfo(program.FileName) { RedirectStandardOutput = true, RedirectStandardError = true };
            foreach (
                var argument in program.Arguments.Concat([
                    "bench",
                    "engine-trial",
                    "--settings",
                    asked,
                    "--result",
                    answer,
                    "--device",
                    compute.Device.type == TorchSharp.DeviceType.CUDA ? "cuda" : "cpu",
                    "--dtype",
                    compute.DType.ToString().ToLowerInvariant(),
                ])
            )
                start.ArgumentList.Add(argument);
            if (threads is { } number)
            {
                start.ArgumentList.Add("--threads");
                start.ArgumentList.Add(number.ToString(CultureInfo.InvariantCulture));
            }

            start.Environment["GOMP_SPINCOUNT"] = "10000"; // as the starter sets it
            using var process = Process.Start(start)!;
            using var ending = context.Cancellation.Register(() => process.Kill(entireProcessTree: true));
            var output = process.StandardOutput.ReadToEndAsync();
            var errors = process.StandardError.ReadToEnd();
            process.WaitForExit();
            _ = output.Result;
            context.Cancellation.ThrowIfCancellationRequested();
            if (process.ExitCode != 0)
                throw new NumericalFailureException(
                    $"The measurement of {settings.Variant} ended with code {process.ExitCode}: {errors.Trim()}"
                );
            return JsonSerializer.Deserialize<EngineTrialRecord>(File.ReadAllText(answer), ResultJson.Options)!;
        }
    }
}
