using Falcon.Engine;
using Falcon.Methods.Baselines;
using Falcon.Methods.Falcon;
using Falcon.Methods.Terms;
using Falcon.Runs.Configuration;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Methods;

/// <summary>Every unlearning method by its name in configuration and command line (<see cref="MethodPresets.Names"/>).</summary>
public static class MethodCatalog
{
    /// <summary>The objective of the method that the configuration names; the caller owns it.</summary>
    /// <param name="inputs">What it is built from.</param>
    /// <exception cref="UserInputException">There is no such method, or the texts do not fit it.</exception>
    public static Objective Build(MethodInputs inputs) => inputs.Config.Method switch
    {
        MethodPresets.Falcon => Falcon(inputs),
        "grad-ascent" => new GradAscent(inputs),
        "grad-diff" => new GradDiff(inputs),
        "kl" => new KlMinimization(inputs),
        "npo" => new Npo(inputs),
        "simnpo" => new SimNpo(inputs),
        "idk-dpo" => new IdkDpo(inputs),
        "rmu" => new Rmu(inputs),
        "adaptive-rmu" => new AdaptiveRmu(inputs),
        "undial" => new Undial(inputs),
        "wga" => new Wga(inputs),
        "llmu" => new Llmu(inputs),
        "scrub" => new Scrub(inputs),
        "ssd" => new Ssd(inputs),
        "task-vector" => new TaskVector(inputs),
        "circuit-breakers" => new CircuitBreakers(inputs),
        var unknown => throw new UserInputException($"--method {unknown}: not known; known are {string.Join(", ", MethodPresets.Names)}."),
    };

    private static FalconMethod Falcon(MethodInputs inputs)
    {
        var offsets = OffsetVectors.Make(
            inputs.Frozen,
            inputs.TargetLayer,
            inputs.Topics,
            inputs.Config,
            inputs.PadId,
            (done, total) => inputs.Log.Progress("offset vectors", done, total),
            inputs.Cancellation
        );
        var loss = inputs.Config.Loss;
        var bound =
            loss.Bound == ForgetBoundKind.None
                ? null
                : new ForgetBound(
                    inputs.Config.Layers is { RebuiltAbove: > 0 } or { RebuiltEmbedding: true }
                        ? inputs.Trained.Updated(inputs.Frozen)
                        : inputs.Frozen,
                    inputs.TargetLayer,
                    loss.BoundWidth
                );
        var passes = inputs.Passes();
        var objective = new FalconObjective(
            passes,
            inputs.Trained,
            loss,
            plainPasses: inputs.Config.Engine.Path == EnginePath.Plain,
            microBatchTokens: inputs.Config.Engine.MicroBatchTokens,
            bound: bound
        );
        return new FalconMethod(
            objective,
            offsets,
            loss,
            ForgetBound.Levels(inputs),
            Shared(inputs, passes),
            objective.UnchangedRetainLoss(inputs.FirstRetainBatches, inputs.Cancellation)
        );
    }

    private static RetainDirections? Shared(MethodInputs inputs, LayerPasses passes)
    {
        var share = inputs.Config.Combination.CollapsedShare;
        if (share == 0)
            return null;
        if (inputs.FirstRetainBatches.Count == 0)
            throw new InvalidOperationException("The shared directions need the retain batches of the first steps.");
        using var generator = new Generator(new SeededRandom(inputs.Config.Seed, "retain directions").NextUInt64(), CPU);
        var found = RetainDirections.Find(passes, inputs.Trained, inputs.FirstRetainBatches, share, generator, inputs.Cancellation);
        inputs.Log.Information(
            $"the forget gradient leaves alone {string.Join(", ", found.Counts)} directions of the trained matrices' inputs"
        );
        return found;
    }
}
