using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Falcon.Evaluation.Metrics;
using Falcon.Models;
using Falcon.Models.Families;
using Falcon.Runtime;

namespace Falcon.Research.Engine;

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
            var compute = ComputeOptions.Choose(context.Device, context.DType == "auto" ? "bfloat16" : context.DType, default);
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
            EnvironmentRecord.Capture(compute, (long)settings.Seed, context.Clock),
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
