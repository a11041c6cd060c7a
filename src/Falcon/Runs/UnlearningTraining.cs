using System.Globalization;
using Falcon.Checkpoints;
using Falcon.Checkpoints.Safetensors;
using Falcon.Engine;
using Falcon.Methods;
using Falcon.Methods.Terms;
using Falcon.Models;
using Falcon.Optimization;
using Falcon.Results;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Runs;

/// <summary>
/// The part of the recipe that changes parameters: copies of them, kept activations, objective, optimiser and loop. Owns them.
/// </summary>
public sealed class UnlearningTraining : IDisposable
{
    private readonly UnlearningSession _session;
    private readonly ScratchFile? _scratch;
    private readonly ActivationCache? _cache;
    private readonly RunMonitor? _monitor;
    private readonly StepSelection? _selection;
    private readonly Objective _objective;
    private readonly Optimizer _optimizer;
    private readonly Trainer _trainer;

    internal UnlearningTraining(
        UnlearningSession session,
        FrozenModel source,
        CausalLM? teacher,
        Func<TermInputs, Objective> objective
    )
    {
        _session = session;
        try
        {
            var (config, plan, context) = (session.Config, session.Plan, session.Context);
            var (frozen, batches) = (session.Frozen, session.Batches());
            _scratch =
                plan.StateInFile || plan.CacheBytes > plan.CacheMemory ? new ScratchFile(session.Place.PathOf("scratch.bin")) : null;
            var state = plan.StateInFile ? _scratch : null;
            Trained = new TrainedParameters(
                session.TrainedNames,
                session.Checkpoint.LoadStored,
                session.Compute.DType,
                session.Compute.Device,
                state
            );
            Trained.MixWithNoise(config.Layers.StartNoise, config.Seed);
            var place = session.Target is null ? "the whole model" : Trained.Place;
            var count = Trained.Count.ToString("N0", CultureInfo.InvariantCulture);
            context.Log.Information($"training {Trained.Names.Count} tensors of {place} ({count} parameters)");
            _cache = plan.Cached ? Fill(batches) : null;
            _monitor = config.Monitor.IsOn
                ? RunMonitor.Open(config, frozen, session.Prompts, session.GivenTopics, session.Compute, context)
                : null;
            _objective = objective(Inputs(source, teacher, batches));
            source.Release();
            _optimizer = config.Optimizer.Build(Trained.Masters, state);
            _selection = _monitor is { } monitor
                ? new StepSelection(config.Monitor, monitor, frozen, Trained, session.Place.Directory!, context.Log)
                : null;
            var rates = new LearningRateSchedule(
                config.Optimizer.LearningRate,
                config.Steps,
                config.Optimizer.Decay,
                config.Optimizer.WarmupSteps
            );
            _trainer = new Trainer(
                session.Topics,
                batches,
                _objective,
                Trained,
                _optimizer,
                new TrainerSettings(config.Steps, config.Seed, session.PadId, rates)
                {
                    Filter = config.Objective.Filters is [var filter, ..] ? filter : null,
                    StartNoise = config.Layers.StartNoise,
                }
            );
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>The parameters in training.</summary>
    public TrainedParameters Trained { get; }

    /// <summary>One step.</summary>
    /// <param name="step">The step, from 0.</param>
    /// <exception cref="NumericalFailureException">The run diverges.</exception>
    public StepMetrics Step(int step) => _trainer.Step(step);

    /// <summary>All steps, from where an interrupted run ended; writes metrics.jsonl and keeps the state when interrupted.</summary>
    /// <returns>What the monitor kept; null without one.</returns>
    /// <exception cref="NumericalFailureException">The run diverges.</exception>
    /// <exception cref="OperationCanceledException">Interrupted; the state is kept.</exception>
    public MonitorRecord? Run()
    {
        var (config, context) = (_session.Config, _session.Context);
        var directory = _session.Place.Directory ?? throw new InvalidOperationException("A run in memory is stepped by its caller.");
        var step = directory.IsResumed ? TrainingState.Load(directory, Trained, _optimizer, _objective, _selection?.Best) : 0;
        if (step > 0) context.Log.Information($"resumed at step {step}");
        _selection?.Begin(step);
        void Save() => TrainingState.Save(directory, step, Trained, _optimizer, _objective, _selection?.Best);
        try
        {
            for (var start = step; step < config.Steps; step++)
            {
                if (config.CheckpointEvery > 0 && step > start && step % config.CheckpointEvery == 0) Save();
                context.Cancellation.ThrowIfCancellationRequested();
                if (_selection?.EndsAfter(step) == true) break;
                var metrics = Step(step);
                directory.AppendLine("metrics.jsonl", metrics);
                context.Log.Progress("unlearning", step + 1, config.Steps, Describe(metrics));
            }

            context.Cancellation.ThrowIfCancellationRequested();
            return _selection?.Finish(step);
        }
        catch (OperationCanceledException)
        {
            Save();
            context.Log.Information(
                $"the state after {step} steps is kept in {directory.WorkingPath}; the same command with --resume continues it"
            );
            throw;
        }
        catch (NumericalFailureException)
        {
            directory.DiscardState(); // an earlier state would only lead here again
            throw;
        }
    }

    /// <summary>Edits the weights as the objective does after its last step.</summary>
    public void Finish() => _objective.Finish();

    /// <summary>Measures the model as it would be saved: with the trained parameters rounded to the checkpoint's dtype.</summary>
    /// <param name="measure">Gets the model; no gradient.</param>
    public T Measure<T>(Func<CausalLM, T> measure)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var checkpoint = _session.Checkpoint;
        return measure(
            _session.Frozen.With(
                Enumerable
                    .Range(0, Trained.Names.Count)
                    .ToDictionary(
                        i => Trained.Names[i],
                        i => Trained.Rounded(i, TensorBytes.TypeOf(checkpoint.StoredDType(Trained.Names[i])))
                    )
            )
        );
    }

    /// <summary>The same after <see cref="Finish"/>; then the parameters are put back, so that training can go on.</summary>
    /// <param name="measure">Gets the model; no gradient.</param>
    public T MeasureAsFinished<T>(Func<CausalLM, T> measure)
    {
        var copies = Trained.Masters.Select(BestStep.Copy).ToList();
        try
        {
            Finish();
            return Measure(measure);
        }
        finally
        {
            for (var i = 0; i < copies.Count; i++)
            {
                Trained.Load(i, copies[i]);
                copies[i].Dispose();
            }
        }
    }

    /// <summary>Writes the model with the trained parameters.</summary>
    /// <param name="directory">The new model's directory.</param>
    public void Save(string directory) => CheckpointWriter.Write(_session.Checkpoint, directory, Trained.ByName);

    /// <summary>Releases everything; of a preparation that failed what there is.</summary>
    public void Dispose()
    {
        _selection?.Dispose();
        _optimizer?.Dispose();
        _objective?.Dispose();
        _cache?.Dispose();
        Trained?.Dispose();
        _scratch?.Dispose();
    }

    private TermInputs Inputs(FrozenModel source, CausalLM? teacher, StepBatches batches)
    {
        var (session, config) = (_session, _session.Config);
        var target = session.Target ?? session.SearchedLayers.Last;
        var passed = source.Suffix(Trained, target) ?? session.Frozen;
        return new TermInputs(session.Frozen, Trained)
        {
            Passes = config.Objective.Needs.UseTarget() ? new LayerPasses(passed, Trained, target, _cache) { Teacher = teacher } : null,
            Topics = session.Topics,
            Data = config.Data,
            Prompts = session.Prompts,
            PadId = session.PadId,
            Seed = config.Seed,
            Steps = config.Steps,
            Plainly = config.Engine.Path == EnginePath.Plain,
            MicroBatchTokens = config.Engine.MicroBatchTokens,
            FirstRetainBatches = batches.FirstRetain(),
            NeverLearnedLoss = _monitor?.TargetLoss,
            Texts = session.Place.Texts,
            Log = session.Context.Log,
            Cancellation = session.Context.Cancellation,
        };
    }

    private ActivationCache Fill(StepBatches batches)
    {
        const int Ticks = 100;
        const string What = "activations of the frozen model";
        var (config, context) = (_session.Config, _session.Context);
        var directory = config.Engine.CacheDirectory;
        var store = directory is null ? null : new ActivationStore(directory, config.Model, context.Cancellation);
        var cache = ActivationCache.Fill(
            _session.Frozen,
            CacheParts.Of(Trained, _session.Target!.Value),
            batches.All(),
            _session.PadId,
            _session.Plan.CacheMemory,
            _scratch,
            done => context.Log.Progress(What, (int)(done * Ticks), Ticks),
            store,
            context.Cancellation
        );
        if (store is not null)
            context.Log.Information(
                $"{What}: {PeakMemory.Text(cache.MemoryBytes + cache.FileBytes)} {(cache.WasStored ? "read from" : "kept in")} {directory}"
            );
        return cache;
    }

    private string Describe(StepMetrics metrics) =>
        string.Create(
            CultureInfo.InvariantCulture,
            $"forget {metrics.ForgetLoss:F3}  retain {metrics.RetainLoss:F4}  conflicts {metrics.Conflicts}/{Trained.Names.Count}  "
                + $"cosine {metrics.MeanCosine:F2}  {metrics.Tokens / metrics.Seconds:F0} tokens/s"
        );
}
