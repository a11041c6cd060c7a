using Falcon.Checkpoints;
using Falcon.Checkpoints.Safetensors;
using Falcon.Engine;
using Falcon.Methods;
using Falcon.Models;
using Falcon.Runs;
using Falcon.Runs.Configuration;
using Falcon.Runtime;
using Falcon.Tokenization;
using static TorchSharp.torch;

namespace Falcon.Research.League;

/// <summary>
/// A run of a benchmark in memory: the trainer of <see cref="UnlearnRun"/>, measured at several steps and written nowhere. What is measured
/// is what a run of so many steps would save: the end of the method applied and the parameters rounded to the checkpoint's dtype.
/// </summary>
/// <param name="context">Log, device, dtype, cancellation.</param>
internal sealed class MeasuredTraining(RunContext context)
{
    /// <summary>Trains, and calls <paramref name="measure"/> at each of the steps.</summary>
    /// <param name="config">The whole configuration; its steps decide the schedule of the learning rate.</param>
    /// <param name="steps">Finished steps at which the model is measured, ascending; the last ends the run.</param>
    /// <param name="measure">Gets the step and the model; false ends the run.</param>
    /// <returns>Seconds of training, without measuring.</returns>
    /// <exception cref="NumericalFailureException">The run diverged.</exception>
    public double Run(UnlearnConfig config, IReadOnlyList<int> steps, Func<int, CausalLM, HfTokenizer, bool> measure)
    {
        config.Validate();
        var begin = context.Clock.GetTimestamp();
        var measuring = TimeSpan.Zero;
        using var checkpoint = Checkpoint.Open(config.Model);
        var tokenizer = HfTokenizer.Load(config.Model);
        var compute = ComputeOptions.Choose(context.Device, context.DType, checkpoint.ParameterCount);
        var topics = TopicTexts.Read(config.Data, tokenizer);
        var padId = tokenizer.PadId ?? 0;
        using var weights = checkpoint.LoadWeights(compute.DType, compute.Device);
        var frozen = new CausalLM(checkpoint.Config, weights);
        var target = Target(config, frozen, topics, padId);
        using var trained = new TrainedParameters(
            TrainedParameters.Select(checkpoint.Config, target ?? 0, config.Layers.Trained, config.Layers.Parameters),
            checkpoint.LoadStored,
            compute.DType,
            compute.Device
        );
        var batches = new StepBatches(config with { Steps = Math.Max(1, steps[^1]) }, topics, padId);
        using var cache =
            target is { } layer && !config.Loss.CountPadding
                ? ActivationCache.Fill(
                    frozen,
                    CacheParts.Of(trained, layer),
                    batches.All(),
                    padId,
                    long.MaxValue,
                    null,
                    cancellation: context.Cancellation
                )
                : null;
        using var objective = MethodCatalog.Build(
            new MethodInputs(config, frozen, trained, target, topics, tokenizer, padId, context.Log, context.Cancellation)
            {
                Cache = cache,
                FirstRetainBatches = batches.FirstRetain(),
            }
        );
        using var optimizer = UnlearnRun.MakeOptimizer(config.Optimizer, trained.Masters, null);
        var trainer = new Trainer(config, topics, objective, trained, optimizer, padId);
        var made = 0;
        foreach (var step in steps)
        {
            for (; made < step; made++)
            {
                context.Cancellation.ThrowIfCancellationRequested();
                trainer.Step(made);
                context.Log.Progress("unlearning", made + 1, steps[^1]);
            }

            var copies = trained.Masters.Select(BestStep.Copy).ToList();
            objective.Finish();
            var measured = context.Clock.GetTimestamp();
            var goesOn = Measure(step, checkpoint, tokenizer, frozen, trained, measure);
            measuring += context.Clock.GetElapsedTime(measured);
            for (var i = 0; i < copies.Count; i++)
            {
                trained.Load(i, copies[i]);
                copies[i].Dispose();
            }

            if (!goesOn) break;
        }

        return (context.Clock.GetElapsedTime(begin) - measuring).TotalSeconds;
    }

    private static bool Measure(
        int step,
        Checkpoint checkpoint,
        HfTokenizer tokenizer,
        CausalLM frozen,
        TrainedParameters trained,
        Func<int, CausalLM, HfTokenizer, bool> measure
    )
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        return measure(
            step,
            frozen.With(
                Enumerable
                    .Range(0, trained.Names.Count)
                    .ToDictionary(
                        i => trained.Names[i],
                        i => trained.Rounded(i, TensorBytes.TypeOf(checkpoint.StoredDType(trained.Names[i])))
                    )
            ),
            tokenizer
        );
    }

    // As in a run; the interval of the information decides nothing and is left out.
    private int? Target(UnlearnConfig config, CausalLM frozen, IReadOnlyList<TopicTexts> topics, int padId)
    {
        if (config.Layers.Target is { } given) return given;
        if (config.Layers.Parameters is [LayerConfig.WholeModel]) return null;
        var range = LayerAnalysis.Range(config.Layers, frozen.Config.LayerCount);
        return LayerAnalysis
            .Measure(
                frozen,
                topics,
                config.Layers with
                {
                    BootstrapRounds = 0,
                },
                range,
                range,
                config.Seed,
                padId,
                context.Log,
                context.Cancellation
            )
            .SelectedLayer;
    }
}
