using System.Text.Json;
using Falcon.Checkpoints;
using Falcon.Engine;
using Falcon.Layers;
using Falcon.Methods.Falcon;
using Falcon.Methods.Terms;
using Falcon.Models;
using Falcon.Optimization;
using Falcon.Runs.Configuration;
using Falcon.Runtime;
using Falcon.Runtime.Machine;
using Falcon.Tokenization;

namespace Falcon.Runs;

/// <summary>
/// The recipe of an unlearning run, step by step: open, read texts, plan memory, open the models, choose the layer, prepare, train, save.
/// <see cref="UnlearnRun"/>, the league and the engine benchmark go through these steps; nothing else puts a run together. Read this first.
/// Owns what it opens.
/// </summary>
public sealed class UnlearningSession : IDisposable
{
    private readonly Checkpoint? _teacherCheckpoint;
    private readonly FreedMemory _freed;
    private FrozenModel? _source;
    private FrozenModel? _teacher;
    private IReadOnlyList<TopicTexts> _given = []; // what layer and monitor go by; training also has what the model writes itself

    private UnlearningSession(UnlearnConfig config, RunPlace place, RunContext context, Checkpoint checkpoint, HfTokenizer tokenizer)
    {
        (Place, Context, Checkpoint, Tokenizer) = (place, context, checkpoint, tokenizer);
        Prompts = new PromptEncoder(tokenizer, config.Data.PromptForm.OnDay(context.Today))
        {
            MaxTokens = checkpoint.Config.MaxPositions,
        };
        Config = config = config with { Data = config.Data with { PromptForm = Prompts.Form } };
        _teacherCheckpoint = TeacherModel.Open(config.Objective, checkpoint, tokenizer);
        Compute = ComputeOptions.Choose(
            context.Device,
            context.DType,
            checkpoint.Stored + (_teacherCheckpoint?.Stored ?? default),
            config.Engine.MemoryLimit
        );
        Target = config.Layers.Target;
        SearchedLayers = LayerAnalysis.Range(config.Layers, checkpoint.Config.LayerCount);
        _freed = FreedMemory.ReturnAbove(MemoryPlan.LimitOf(config.Engine, PeakMemory.Available())); // until there is a plan
    }

    /// <summary>The whole configuration; its prompt form is chat or plain.</summary>
    public UnlearnConfig Config { get; }

    /// <summary>Where the files of the run lie.</summary>
    public RunPlace Place { get; }

    /// <summary>Log, device, clock, cancellation.</summary>
    public RunContext Context { get; }

    /// <summary>The files of the model.</summary>
    public Checkpoint Checkpoint { get; }

    /// <summary>Its tokenizer.</summary>
    public HfTokenizer Tokenizer { get; }

    /// <summary>The form in which the model is asked, with its tokenizer.</summary>
    public PromptEncoder Prompts { get; }

    /// <summary>Dtype and device.</summary>
    public ComputeOptions Compute { get; }

    /// <summary>Whether more of the model is needed than the objective asks for, for measuring it.</summary>
    public bool MeasuresModel { get; init; }

    /// <summary>The target layer; null until it is chosen, and where the whole model is trained.</summary>
    public int? Target { get; private set; }

    /// <summary>Lowest and highest layer of the automatic choice.</summary>
    public (int First, int Last) SearchedLayers { get; }

    /// <summary>Forget domains with their retain sets, and with the texts that the model wrote itself.</summary>
    public IReadOnlyList<TopicTexts> Topics { get; private set; } = [];

    /// <summary>The same without the texts that the model wrote itself.</summary>
    public IReadOnlyList<TopicTexts> GivenTopics => _given;

    /// <summary>Padding id.</summary>
    public int PadId => Tokenizer.PadId ?? 0;

    /// <summary>How the run uses memory, after <see cref="PlanMemory"/>.</summary>
    public MemoryPlan Plan { get; private set; } = null!;

    /// <summary>The unchanged model, after <see cref="OpenModels"/>.</summary>
    public CausalLM Frozen => _source!.Model;

    /// <summary>Names of the trained tensors; before the layer is chosen, those for the highest layer that could be chosen.</summary>
    public IReadOnlyList<string> TrainedNames =>
        TrainedParameters.Select(
            Checkpoint.Config,
            Target ?? SearchedLayers.Last,
            Config.Layers.Trained,
            Config.Layers.Parameters,
            Config.Layers.RebuiltAbove,
            Config.Layers.RebuiltEmbedding
        );

    private bool NeedsWholeModel => MeasuresModel || Config.Monitor.IsOn || Config.Objective.Needs.UseWholeModel();

    /// <summary>Opens the files of the model and of a teacher.</summary>
    /// <param name="config">A valid configuration.</param>
    /// <param name="place">Where the files of the run lie; borrowed.</param>
    /// <param name="context">Log, device, clock, cancellation.</param>
    /// <param name="measuresModel">Whether the whole model is measured before or after.</param>
    /// <exception cref="UserInputException">Settings or files are wrong.</exception>
    public static UnlearningSession Open(UnlearnConfig config, RunPlace place, RunContext context, bool measuresModel)
    {
        config.Validate();
        if (place.Directory is null && config.Monitor.IsOn)
            throw new UserInputException(
                "monitor: a run in memory keeps no measurements; leave monitor.every 0 and monitor.searchPath false."
            );
        var checkpoint = Checkpoint.Open(config.Model);
        try
        {
            var tokenizer = HfTokenizer.Load(config.Model);
            checkpoint.TellNotes(context.Log, tokenizer);
            return new UnlearningSession(config, place, context, checkpoint, tokenizer)
            {
                MeasuresModel = measuresModel,
            };
        }
        catch
        {
            checkpoint.Dispose();
            throw;
        }
    }

    /// <summary>Reads and tokenises forget and retain files.</summary>
    /// <exception cref="UserInputException">A file cannot be used, or a token is unknown to the model.</exception>
    public void ReadTexts()
    {
        TakeTexts(TopicTexts.Read(Config.Data, Prompts));
        foreach (var note in Prompts.Notes) Context.Log.Information(note);
    }

    /// <summary>Takes texts that are tokenised already.</summary>
    /// <exception cref="UserInputException">A token is unknown to the model, or the trained tensors do not exist.</exception>
    public void TakeTexts(IReadOnlyList<TopicTexts> topics)
    {
        Checkpoint.RequireKnown(topics.SelectMany(topic => topic.Forget.Concat(topic.Retain)).SelectMany(text => text));
        _ = TrainedNames; // fails early
        (_given, Topics) = (topics, topics);
    }

    /// <summary>
    /// Lets the model write further retain texts where asked, and chooses the fastest way of running that fits into memory.
    /// </summary>
    /// <exception cref="UserInputException">The run does not fit in any way.</exception>
    public void PlanMemory()
    {
        if (Config.Data.GeneratedRetain > 0) Topics = WithGenerated(MakePlan().Streamed);
        Plan = MakePlan();
        _freed.Above = Plan.ReturnAbove;
        Context.Log.Information(Plan.Describe());
        if (Config.Engine.CacheDirectory is not null && !Plan.Cached)
            Context.Log.Warning(
                "--cache-dir is not used: this run keeps no activations (engine.cache, the method, or a trained embedding)"
            );
    }

    /// <summary>Opens the unchanged model as planned, and the teacher.</summary>
    /// <exception cref="NumericalFailureException">A stored value is not finite.</exception>
    public void OpenModels()
    {
        // Layers above the target are needed only for measuring and for terms that use them.
        int? through = NeedsWholeModel ? null : Target ?? SearchedLayers.Last;
        _source = FrozenModel.Open(Checkpoint, Compute, Plan.Streamed, through, Context.Cancellation);
        if (_teacherCheckpoint is not null)
            _teacher = FrozenModel.Open(_teacherCheckpoint, Compute, streamed: false, throughLayer: null, Context.Cancellation);
    }

    /// <summary>Chooses the target layer by mutual information where none is given; kept in layers.json for a resumed run.</summary>
    /// <param name="intervals">Whether the choice comes with bootstrap intervals; they decide nothing.</param>
    /// <exception cref="NumericalFailureException">No layer has a valid estimate.</exception>
    public void ChooseLayer(bool intervals = true)
    {
        if (Target is not null || Config.TrainsWholeModel) return;
        var kept = Place.PathOf("layers.json");
        var (first, last) = SearchedLayers;
        var analysis =
            Place.IsResumed && File.Exists(kept)
                ? JsonSerializer.Deserialize<LayerAnalysis>(File.ReadAllText(kept), ResultJson.Options)!
                : LayerAnalysis.Measure(
                    Frozen,
                    _given,
                    intervals ? Config.Layers : Config.Layers with { BootstrapRounds = 0 },
                    intervals ? (0, NeedsWholeModel ? Checkpoint.Config.LayerCount - 1 : last) : (first, last),
                    (first, last),
                    Config.Seed,
                    PadId,
                    Context.Log,
                    Context.Cancellation
                );
        Place.Directory?.WriteJson("layers.json", analysis);
        Target = analysis.SelectedLayer;
        var extreme = Config.Layers.Choice == LayerChoice.HighestInformation ? "highest" : "lowest";
        Context.Log.Information($"layer {Target} has the {extreme} mutual information of layers {first} to {last}");
    }

    /// <summary>Copies the trained parameters, fills caches, builds objective and optimiser. The caller owns the training.</summary>
    /// <param name="objective">Builds the objective, which the training owns; null composes the terms of the configuration.</param>
    public UnlearningTraining Prepare(Func<TermInputs, Objective>? objective = null) =>
        new(this, _source!, _teacher?.Model, objective ?? (inputs => new ComposedObjective(Config.Objective, inputs)));

    /// <summary>Releases models and files.</summary>
    public void Dispose()
    {
        _source?.Dispose();
        _teacher?.Dispose();
        _teacherCheckpoint?.Dispose();
        Checkpoint.Dispose();
        _freed.Dispose();
    }

    /// <summary>The texts of every step.</summary>
    internal StepBatches Batches() => new(Topics, Config.Data, Config.Steps, Config.Seed, PadId);

    private MemoryPlan MakePlan()
    {
        var demand = new MemoryDemand(
            Checkpoint.Config,
            Compute,
            Target ?? SearchedLayers.Last,
            TrainedNames,
            Config.Objective.Needs,
            Config.Engine
        )
        {
            Moments = Config.Optimizer.Kind == OptimizerKind.Sophia ? 3 : 2,
            WholeModel = NeedsWholeModel,
            TeacherParameters = _teacherCheckpoint?.ParameterCount ?? 0,
        };
        return MemoryPlan.Make(demand, Batches().All(), PeakMemory.Available(), Place.FreeSpace);
    }

    private IReadOnlyList<TopicTexts> WithGenerated(bool streamed)
    {
        var texts = Place.Texts.Get(
            "retain-generated.jsonl",
            () =>
            {
                using var source = FrozenModel.Open(
                    _teacherCheckpoint ?? Checkpoint,
                    Compute,
                    streamed,
                    throughLayer: null,
                    Context.Cancellation
                );
                var made = GeneratedRetain.Make(
                    source.Model,
                    [.. _given.Select(topic => topic.Retain).Distinct().SelectMany(own => own)],
                    _given.SelectMany(topic => topic.Forget),
                    Config.Data.GeneratedRetain,
                    Config.Seed,
                    Tokenizer,
                    Context.Log,
                    Context.Cancellation
                );
                return [.. made.Select(text => new KeptText(Tokenizer.Decode(text), text))];
            }
        );
        return TopicTexts.With(_given, [.. texts.Select(text => text.Tokens)]);
    }
}
