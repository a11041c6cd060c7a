using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Falcon.Checkpoints;
using Falcon.Checkpoints.Safetensors;
using Falcon.Engine;
using Falcon.Evaluation;
using Falcon.Methods;
using Falcon.Methods.Falcon;
using Falcon.Models;
using Falcon.Optimization;
using Falcon.Results;
using Falcon.Runs.Configuration;
using Falcon.Runtime;
using Falcon.Tokenization;
using static TorchSharp.torch;

namespace Falcon.Runs;

/// <summary>
/// The recipe of a run, from files to files: load, choose the layer, prepare the offset vectors, train, save. Read this first.
/// </summary>
public static class UnlearnRun
{
    /// <summary>
    /// Unlearns and writes the run directory: config.json, environment.json, layers.json, metrics.jsonl, run.json and model/.
    /// </summary>
    /// <param name="config">The whole configuration.</param>
    /// <param name="outDirectory">The directory to write; it appears whole or not at all.</param>
    /// <param name="resume">Continue the interrupted run of the same directory.</param>
    /// <param name="context">Log, device, clock, cancellation.</param>
    /// <exception cref="UserInputException">Settings or files are wrong.</exception>
    /// <exception cref="NumericalFailureException">The run diverged; nothing is written.</exception>
    /// <exception cref="OperationCanceledException">Interrupted; the state is kept for <paramref name="resume"/>.</exception>
    public static RunRecord Execute(UnlearnConfig config, string outDirectory, bool resume, RunContext context)
    {
        var clock = Stopwatch.StartNew();
        config.Validate();
        using var directory = RunDirectory.Create(outDirectory, resume);
        using var checkpoint = Checkpoint.Open(config.Model);
        var tokenizer = HfTokenizer.Load(config.Model);
        using var teacherCheckpoint = config.Loss.Teacher is { } path ? OpenTeacher(path, checkpoint, tokenizer) : null;
        var compute = ComputeOptions.Choose(
            context.Device,
            context.DType,
            checkpoint.ParameterCount + (teacherCheckpoint?.ParameterCount ?? 0)
        );
        WriteSettings(directory, config, compute, context);
        directory.RequireFreeSpace(CheckpointWriter.ByteLength(checkpoint), "the new model");
        var topics = TopicTexts.Read(config.Data, tokenizer);
        checkpoint.RequireKnown(topics.SelectMany(topic => topic.Forget.Concat(topic.Retain)).SelectMany(text => text));

        var target = config.Layers.Target;
        var (first, last) = LayerAnalysis.Range(config.Layers, checkpoint.Config.LayerCount);
        IReadOnlyList<string> Named(int? target) =>
            TrainedParameters.Select(
                checkpoint.Config,
                target ?? last,
                config.Layers.Trained,
                config.Layers.Parameters,
                config.Layers.RebuiltAbove,
                config.Layers.RebuiltEmbedding
            );
        _ = Named(target); // fails early
        var evaluation = BeforeAfter.Complete(config);
        context.Log.Information(compute.Reason);
        var control = BeforeAfter.Control(evaluation, config, compute, context);
        var padId = tokenizer.PadId ?? 0;
        var wholeModel =
            evaluation.Probes.Count > 0
            || config.Monitor.IsOn
            || config.Loss.Retain != RetainLossKind.HiddenStates
            || config.Loss.Bound != ForgetBoundKind.None
            || !MethodRules.UsesTargetLayer(config.Method);
        MemoryPlan Plan(StepBatches batches) =>
            MemoryPlan.Make(
                config,
                checkpoint.Config,
                compute,
                target ?? last,
                wholeModel,
                batches.All(),
                PeakMemory.Available(),
                directory.FreeSpace,
                teacherCheckpoint?.ParameterCount ?? 0
            );
        var given = topics; // what the layer and the monitor go by; training also has what the model writes itself
        if (config.Data.GeneratedRetain > 0)
            topics = WithGenerated(
                given,
                config,
                teacherCheckpoint ?? checkpoint,
                tokenizer,
                compute,
                Plan(new StepBatches(config, given, padId)).Streamed,
                directory,
                context
            );
        var batches = new StepBatches(config, topics, padId);
        var plan = Plan(batches);
        context.Log.Information(plan.Describe());
        if (config.Engine.CacheDirectory is not null && !plan.Cached)
            context.Log.Warning(
                "--cache-dir is not used: this run keeps no activations (engine.cache, the method, or a lowest trained layer of 0)"
            );
        // Nothing above the target layer is needed but for measuring, for a bound on forgetting and for methods that look at likelihoods.
        using var source = FrozenModel.Open(checkpoint, compute, plan.Streamed, wholeModel ? null : target ?? last, context.Cancellation);
        var frozen = source.Model;
        using var teacher = teacherCheckpoint is null
            ? null
            : FrozenModel.Open(teacherCheckpoint, compute, streamed: false, throughLayer: null, context.Cancellation);
        ProbeScores Measure(CausalLM model) =>
            ProbeScores.Measure(model, tokenizer, evaluation, config.Data.Template, config.Data.Fields, context.Log, context.Cancellation);
        var before = Measure(frozen);
        if (target is null && config.Layers.Parameters is not [LayerConfig.WholeModel])
        {
            var kept = directory.PathOf("layers.json");
            var analysis =
                directory.IsResumed && File.Exists(kept)
                    ? JsonSerializer.Deserialize<LayerAnalysis>(File.ReadAllText(kept), ResultJson.Options)!
                    : LayerAnalysis.Measure(
                        frozen,
                        given,
                        config.Layers,
                        (0, wholeModel ? checkpoint.Config.LayerCount - 1 : last),
                        (first, last),
                        config.Seed,
                        padId,
                        context.Log,
                        context.Cancellation
                    );
            directory.WriteJson("layers.json", analysis);
            target = analysis.SelectedLayer;
            context.Log.Information(
                $"layer {target} has the {(config.Layers.Choice == LayerChoice.HighestInformation ? "highest" : "lowest")} mutual "
                    + $"information of layers {first} to {last}"
            );
        }

        MonitorRecord? monitored = null;
        var after = TrainAndWrite(target);

        ProbeScores TrainAndWrite(int? target)
        {
            using var scratch =
                plan.StateInFile || plan.CacheBytes > plan.CacheMemory ? new ScratchFile(directory.PathOf("scratch.bin")) : null;
            var names = Named(target);
            var stateFile = plan.StateInFile ? scratch : null;
            using var trained = new TrainedParameters(names, checkpoint.LoadStored, compute.DType, compute.Device, stateFile);
            trained.MixWithNoise(config.Layers.StartNoise, config.Seed);
            context.Log.Information(
                $"training {trained.Names.Count} tensors of {(target is null ? "the whole model" : trained.Place)} "
                    + $"({trained.Count.ToString("N0", CultureInfo.InvariantCulture)} parameters)"
            );
            using var cache = plan.Cached ? Fill(frozen, trained, target!.Value, batches, plan, scratch, padId, config, context) : null;
            var monitor = config.Monitor.IsOn ? RunMonitor.Open(config, frozen, tokenizer, given, compute, context) : null;
            var bounded = monitor is null
                ? config
                : config with
                {
                    Loss = config.Loss with { BoundLevel = config.Loss.BoundLevel ?? monitor.TargetLoss },
                };
            using var objective = MethodCatalog.Build(
                new MethodInputs(bounded, frozen, trained, target, topics, tokenizer, padId, context.Log, context.Cancellation)
                {
                    Cache = cache,
                    Teacher = teacher?.Model,
                    Suffix = source.Suffix(trained, target ?? last),
                    FirstRetainBatches = batches.FirstRetain(),
                }
            );
            source.Release();
            using var optimizer = MakeOptimizer(config.Optimizer, trained.Masters, stateFile);
            using var selection = monitor is not null ? new StepSelection(config, monitor, frozen, trained, directory, context.Log) : null;
            monitored = Train(
                new Trainer(config, topics, objective, trained, optimizer, padId),
                trained,
                optimizer,
                selection,
                config,
                directory,
                context
            );
            objective.Finish();
            var measured = MeasureStored(trained, checkpoint, frozen, Measure);
            CheckpointWriter.Write(checkpoint, directory.PathOf("model"), trained.ByName);
            return measured;
        }

        // Not cancelled any more: what is left takes less time than doing it again.
        List<FileHash> files = [.. ContentHash.OfModel(config.Model).Files.Select(file => file with { Name = $"before/{file.Name}" })];
        files.AddRange(ContentHash.OfModel(directory.PathOf("model")).Files.Select(file => file with { Name = $"model/{file.Name}" }));
        if (config.Loss.Teacher is { } taught)
            files.AddRange(ContentHash.OfModel(taught).Files.Select(file => file with { Name = $"teacher/{file.Name}" }));
        files.AddRange(
            config
                .Data.Forget.Concat(config.Data.Retain)
                .Distinct()
                .Select(path => new FileHash(path, FileSize.Of(path), ContentHash.OfFile(path)))
        );
        var record = new RunRecord(
            "unlearn",
            evaluation.Title ?? $"Unlearning {string.Join(", ", config.Data.Forget.Select(Path.GetFileNameWithoutExtension))}",
            BeforeAfter.Rows(evaluation, before, after, control),
            BeforeAfter.Questions(evaluation, before, after, control),
            files,
            clock.Elapsed.TotalSeconds,
            $"{config.Method} (preset {config.Preset})",
            target
        )
        {
            Monitor = monitored,
            PeakBytes = PeakMemory.Bytes(),
        };
        context.Log.Information($"peak memory {PeakMemory.Text(record.PeakBytes.Value)} (predicted {PeakMemory.Text(plan.Predicted)})");
        ModelCard.Write(directory.PathOf("model"), config, record, Named(target));
        directory.WriteJson("run.json", record);
        TrainingState.Remove(directory);
        directory.Commit();
        return record;
    }

    private static Checkpoint OpenTeacher(string path, Checkpoint student, HfTokenizer tokenizer)
    {
        if (!Directory.Exists(path))
            throw new UserInputException(
                $"loss.teacher: {path} is no directory; give the folder of a Hugging Face checkpoint, or leave it out for the model itself."
            );
        var checkpoint = Checkpoint.Open(path);
        try
        {
            if (checkpoint.Config.VocabularySize != student.Config.VocabularySize)
                throw new UserInputException(
                    $"loss.teacher: {path} has a vocabulary of {checkpoint.Config.VocabularySize} tokens, the model of "
                        + $"{student.Config.VocabularySize}; give a model with the same tokenizer."
                );
            if (HfTokenizer.Load(path).DifferenceFrom(tokenizer) is { } difference)
                throw new UserInputException(
                    $"loss.teacher: the tokenizer of {path} is not that of the model ({difference}); give a model with the same tokenizer."
                );
            return checkpoint;
        }
        catch
        {
            checkpoint.Dispose();
            throw;
        }
    }

    // Written once and read by a resumed run, so that it goes on with the same texts.
    private static IReadOnlyList<TopicTexts> WithGenerated(
        IReadOnlyList<TopicTexts> topics,
        UnlearnConfig config,
        Checkpoint checkpoint,
        HfTokenizer tokenizer,
        ComputeOptions compute,
        bool streamed,
        RunDirectory directory,
        RunContext context
    )
    {
        var path = directory.PathOf("retain-generated.jsonl");
        if (!directory.IsResumed || !File.Exists(path))
        {
            using var source = FrozenModel.Open(checkpoint, compute, streamed, throughLayer: null, context.Cancellation);
            var retain = topics.Select(topic => topic.Retain).Distinct().SelectMany(own => own).ToList();
            var made = GeneratedRetain.Make(
                source.Model,
                retain,
                topics.SelectMany(topic => topic.Forget),
                config.Data.GeneratedRetain,
                config.Seed,
                tokenizer,
                context.Log,
                context.Cancellation
            );
            OutputFile.Write(
                path,
                string.Concat(
                    made.Select(text =>
                        JsonSerializer.Serialize(new GeneratedText(tokenizer.Decode(text), text), ResultJson.LineOptions) + "\n"
                    )
                )
            );
        }

        List<int[]> texts =
        [
            .. File.ReadLines(path).Select(line => JsonSerializer.Deserialize<GeneratedText>(line, ResultJson.LineOptions)!.Tokens),
        ];
        return TopicTexts.With(topics, texts);
    }

    private sealed record GeneratedText(string Text, int[] Tokens);

    // What is measured is what is saved: the trained matrices as the checkpoint's dtype rounds them.
    private static ProbeScores MeasureStored(
        TrainedParameters trained,
        Checkpoint checkpoint,
        CausalLM frozen,
        Func<CausalLM, ProbeScores> measure
    )
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        return measure(
            frozen.With(
                Enumerable
                    .Range(0, trained.Names.Count)
                    .ToDictionary(
                        i => trained.Names[i],
                        i => trained.Rounded(i, TensorBytes.TypeOf(checkpoint.StoredDType(trained.Names[i])))
                    )
            )
        );
    }

    private static ActivationCache Fill(
        CausalLM frozen,
        TrainedParameters trained,
        int target,
        StepBatches batches,
        MemoryPlan plan,
        ScratchFile? scratch,
        int padId,
        UnlearnConfig config,
        RunContext context
    )
    {
        const int Ticks = 100;
        var store = config.Engine.CacheDirectory is { } kept ? new ActivationStore(kept, config.Model, context.Cancellation) : null;
        var cache = ActivationCache.Fill(
            frozen,
            CacheParts.Of(trained, target),
            batches.All(),
            padId,
            plan.CacheMemory,
            scratch,
            done => context.Log.Progress("activations of the frozen model", (int)(done * Ticks), Ticks),
            store,
            context.Cancellation
        );
        if (store is not null)
            context.Log.Information(
                $"activations of the frozen model: {PeakMemory.Text(cache.MemoryBytes + cache.FileBytes)} "
                    + $"{(cache.WasStored ? "read from" : "kept in")} {config.Engine.CacheDirectory}"
            );
        return cache;
    }

    private static MonitorRecord? Train(
        Trainer trainer,
        TrainedParameters trained,
        Optimizer optimizer,
        StepSelection? selection,
        UnlearnConfig config,
        RunDirectory directory,
        RunContext context
    )
    {
        var step = directory.IsResumed ? TrainingState.Load(directory, trained, optimizer, selection?.Best) : 0;
        if (step > 0) context.Log.Information($"resumed at step {step}");
        selection?.Begin(step);
        try
        {
            for (var start = step; step < config.Steps; step++)
            {
                if (config.CheckpointEvery > 0 && step > start && step % config.CheckpointEvery == 0)
                    TrainingState.Save(directory, step, trained, optimizer, selection?.Best);
                context.Cancellation.ThrowIfCancellationRequested();
                if (selection?.EndsAfter(step) == true) break;
                var metrics = Step(trainer, step, directory);
                directory.AppendLine("metrics.jsonl", metrics);
                context.Log.Progress(
                    "unlearning",
                    step + 1,
                    config.Steps,
                    string.Create(
                        CultureInfo.InvariantCulture,
                        $"forget {metrics.ForgetLoss:F3}  retain {metrics.RetainLoss:F4}  conflicts "
                            + $"{metrics.Conflicts}/{trained.Names.Count}  cosine {metrics.MeanCosine:F2}  "
                            + $"{metrics.Tokens / metrics.Seconds:F0} tokens/s"
                    )
                );
            }

            context.Cancellation.ThrowIfCancellationRequested();
            return selection?.Finish(step);
        }
        catch (OperationCanceledException)
        {
            TrainingState.Save(directory, step, trained, optimizer, selection?.Best);
            context.Log.Information(
                $"the state after {step} steps is kept in {directory.WorkingPath}; the same command with --resume continues it"
            );
            throw;
        }
    }

    private static StepMetrics Step(Trainer trainer, int step, RunDirectory directory)
    {
        try
        {
            return trainer.Step(step);
        }
        catch (NumericalFailureException)
        {
            directory.DiscardState(); // an earlier state would only lead here again
            throw;
        }
    }

    internal static Optimizer MakeOptimizer(OptimizerConfig settings, IReadOnlyList<BlockTensor> masters, ScratchFile? file) =>
        settings.Kind switch
        {
            OptimizerKind.Sophia => new Sophia(
                masters,
                settings.LearningRate,
                settings.Beta1,
                settings.Beta2,
                settings.Rho,
                curvatureInterval: settings.CurvatureEvery,
                weightDecay: settings.WeightDecay,
                file: file
            ),
            OptimizerKind.SophiaOfficial => new SophiaOfficial(
                masters,
                settings.LearningRate,
                settings.Beta1,
                settings.Beta2,
                settings.Rho,
                weightDecay: settings.WeightDecay,
                file: file
            ),
            _ => new AdamW(masters, settings.LearningRate, settings.Beta1, settings.Beta2, weightDecay: settings.WeightDecay, file: file),
        };

    private static void WriteSettings(RunDirectory directory, UnlearnConfig config, ComputeOptions compute, RunContext context)
    {
        var text = ConfigFile.Write(config);
        var path = directory.PathOf("config.json");
        if (directory.IsResumed && File.Exists(path) && File.ReadAllText(path) != text)
            throw new UserInputException(
                $"{path}: the interrupted run had other settings. Resume it with the same command, or remove {directory.WorkingPath} to "
                    + $"start anew."
            );
        File.WriteAllText(path, text);
        directory.WriteJson(
            "environment.json",
            EnvironmentRecord.Capture(
                compute.Device.ToString(),
                compute.DType.ToString(),
                (long)config.Seed,
                context.Clock,
                get_num_threads()
            )
        );
    }
}
