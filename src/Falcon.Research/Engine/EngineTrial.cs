using System.Diagnostics;
using Falcon.Checkpoints;
using Falcon.Engine;
using Falcon.Evaluation.Metrics;
using Falcon.Methods.Falcon;
using Falcon.Models;
using Falcon.Models.Families;
using Falcon.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Falcon.Research.Engine;

/// <summary>What one child process measured.</summary>
/// <param name="Variant"><c>baseline</c>, <c>uncached</c>, <c>cached</c>, <c>streamed</c>, <c>vectors</c> or <c>products</c>.</param>
/// <param name="StepSeconds">Seconds of every step, the warm-up first.</param>
/// <param name="ForgetLosses">Forget loss of every step.</param>
/// <param name="RetainLosses">Weighted retain loss of every step.</param>
/// <param name="PrepareSeconds">Seconds before the first step: loading, and filling caches.</param>
/// <param name="PeakBytes">Largest resident memory of the process, as the operating system counts it.</param>
/// <param name="VectorSeconds">Seconds of the offset vector: <c>literal</c>, <c>official</c>, <c>falcon</c>.</param>
/// <param name="VectorDifference">Largest element of the literal vector minus the official one.</param>
/// <param name="ExactVectorDifference">The same with the literal form in float64.</param>
/// <param name="FalconDirections">Directions that hold 95 % of the energy in the matrix of that measurement.</param>
/// <param name="FlopsPerSecond">Operations a second of the layers' matrix products alone.</param>
public sealed record EngineTrialRecord(
    string Variant,
    IReadOnlyList<double> StepSeconds,
    IReadOnlyList<double> ForgetLosses,
    IReadOnlyList<double> RetainLosses,
    double PrepareSeconds,
    long PeakBytes,
    IReadOnlyDictionary<string, double>? VectorSeconds = null,
    double? VectorDifference = null,
    double? ExactVectorDifference = null,
    int? FalconDirections = null,
    double? FlopsPerSecond = null
);

/// <summary>What a child process is asked to do.</summary>
/// <param name="Variant">As in <see cref="EngineTrialRecord"/>.</param>
/// <param name="Model">Model directory.</param>
/// <param name="Layer">Target layer; the trained matrices are <c>mlp.down_proj</c> of it and the two below.</param>
/// <param name="Steps">Steps with the warm-up.</param>
/// <param name="Batch">Texts of a batch.</param>
/// <param name="Length">Tokens of a text.</param>
/// <param name="Seed">Seed of tokens and vectors.</param>
public sealed record EngineTrialSettings(string Variant, string Model, int Layer, int Steps, int Batch, int Length, ulong Seed);

/// <summary>One measurement in a process of its own.</summary>
public static class EngineTrial
{
    private const double RetainWeight = 100;
    private const double EnergyShare = 0.95;
    private const double Decay = 1;

    /// <summary>The names of the matrices that the benchmark trains.</summary>
    public static IReadOnlyList<string> Trained(ModelConfig model, int layer) =>
        TrainedParameters.Select(model, layer, 3, ["mlp.down_proj"]);

    /// <summary>Measures one variant.</summary>
    /// <exception cref="UserInputException">The model cannot be opened.</exception>
    public static EngineTrialRecord Run(EngineTrialSettings settings, RunContext context)
    {
        var compute = ComputeOptions.Choose(context.Device, context.DType, default);
        using var checkpoint = Checkpoint.Open(settings.Model);
        return settings.Variant switch
        {
            "vectors" => Vectors(settings, checkpoint.Config.HiddenSize, compute),
            "products" => Products(settings, checkpoint.Config, compute),
            _ => Steps(settings, checkpoint, compute, context),
        };
    }

    private static EngineTrialRecord Steps(
        EngineTrialSettings settings,
        Checkpoint checkpoint,
        ComputeOptions compute,
        RunContext context
    )
    {
        var clock = Stopwatch.StartNew();
        using var scope = NewDisposeScope();
        using var generator = new Generator(settings.Seed, torch.CPU);
        var offset = PrincipalOffsetVector.SampleStart(checkpoint.Config.HiddenSize, generator, compute.Device);
        var batches = Enumerable
            .Range(0, 2 * settings.Steps)
            .Select(i => RandomTokens(settings, checkpoint.Config.VocabularySize, i))
            .ToList();
        var names = Trained(checkpoint.Config, settings.Layer);
        using var baseline =
            settings.Variant == "baseline" ? new FaithfulLoop(checkpoint, compute.DType, compute.Device, settings.Layer, names) : null;
        using var engine = baseline is null ? EngineSteps.Open(settings, batches, offset, RetainWeight, context) : null;
        var prepared = clock.Elapsed.TotalSeconds;
        List<double> seconds = [], forget = [], retain = [];
        for (var step = 0; step < settings.Steps; step++)
        {
            context.Cancellation.ThrowIfCancellationRequested();
            var (f, r) = (batches[2 * step], batches[2 * step + 1]);
            Wait(compute.Device);
            clock.Restart();
            var losses = baseline?.Step(f, r, offset, RetainWeight) ?? engine!.Step(step);
            Wait(compute.Device);
            seconds.Add(clock.Elapsed.TotalSeconds);
            forget.Add(losses.Forget);
            retain.Add(losses.Retain);
        }

        return new EngineTrialRecord(settings.Variant, seconds, forget, retain, prepared, PeakMemory.Bytes());
    }

    // Singular values 1/i, so that a dozen directions hold 95 % of the energy: between a random model, whose directions are all alike, and
    // a large trained one with a few giant ones.
    private static EngineTrialRecord Vectors(EngineTrialSettings settings, long size, ComputeOptions compute)
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        using var generator = new Generator(settings.Seed, torch.CPU);
        var rows = (long)settings.Batch * settings.Length;
        var rank = Math.Min(rows, size);
        var (left, _) = linalg.qr(randn([rows, rank], generator: generator));
        var (right, _) = linalg.qr(randn([size, rank], generator: generator));
        var hidden = (left * arange(1, rank + 1, dtype: float32).pow(-Decay)).matmul(right.T).to(compute.Device);
        var noise = PrincipalOffsetVector.SampleNoise(size, generator, compute.Device);
        var start = PrincipalOffsetVector.SampleStart(size, generator, compute.Device);
        Dictionary<string, double> seconds = [];
        T Timed<T>(string name, int repeats, Func<T> run)
        {
            T result = default!;
            var times = Enumerable.Range(0, repeats).Select(_ =>
            {
                Wait(compute.Device);
                var clock = Stopwatch.StartNew();
                result = run();
                Wait(compute.Device);
                return clock.Elapsed.TotalSeconds;
            }).ToList();
            seconds[name] = Median.Of(times);
            return result;
        }

        var official = Timed("official", 3, () => PrincipalOffsetVector.Official(hidden, noise));
        var falcon = Timed("falcon", 3, () => PrincipalOffsetVector.Orthogonal(hidden, start, EnergyShare));
        var literal = Timed("literal", 1, () => FaithfulLoop.LiteralVector(hidden, noise));
        var exact = FaithfulLoop.LiteralVector(hidden, noise, float64);
        double Difference(Tensor other) => (other - official.Vector).abs().max().to(float64).item<double>();
        return new EngineTrialRecord(
            settings.Variant,
            [],
            [],
            [],
            0,
            PeakMemory.Bytes(),
            seconds,
            Difference(literal),
            Difference(exact),
            falcon.Diagnostics.Directions
        );
    }

    // The layer's products at the size of the step, best of three each, weighted by their operations.
    private static EngineTrialRecord Products(EngineTrialSettings settings, ModelConfig model, ComputeOptions compute)
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        var tokens = (long)settings.Batch * settings.Length;
        double seconds = 0, operations = 0;
        foreach (var name in model.Architecture.Matrices)
        {
            using var inner = NewDisposeScope();
            var shape = WeightNames.Expected(model).First(item => item.Name == model.Architecture.InLayer(0, name + ".weight")).Shape;
            var (input, weight) = (
                randn([tokens, shape[1]], device: compute.Device).to(compute.DType),
                (randn(shape, device: compute.Device) * 0.02).to(compute.DType)
            );
            var best = double.MaxValue;
            for (var i = 0; i < 4; i++)
            {
                Wait(compute.Device);
                var clock = Stopwatch.StartNew();
                using var product = nn.functional.linear(input, weight);
                Wait(compute.Device);
                if (i > 0) best = Math.Min(best, clock.Elapsed.TotalSeconds);
            }

            seconds += best;
            operations += 2.0 * tokens * shape[0] * shape[1];
        }

        return new EngineTrialRecord(settings.Variant, [], [], [], 0, PeakMemory.Bytes(), FlopsPerSecond: operations / seconds);
    }

    private static TokenBatch RandomTokens(EngineTrialSettings settings, int vocabulary, int index)
    {
        var random = new SeededRandom(settings.Seed, "benchmark tokens", index);
        return new TokenBatch(
            [
                .. Enumerable
                    .Range(0, settings.Batch)
                    .Select(_ => Enumerable.Range(0, settings.Length).Select(_ => random.Next(vocabulary)).ToArray()),
            ],
            0
        );
    }

    private static void Wait(Device device)
    {
        if (device.type == DeviceType.CUDA) cuda.synchronize();
    }
}
