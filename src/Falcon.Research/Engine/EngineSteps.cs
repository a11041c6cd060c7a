using Falcon.Data;
using Falcon.Engine;
using Falcon.Evaluation;
using Falcon.Layers;
using Falcon.Methods.Falcon;
using Falcon.Methods.Gradients;
using Falcon.Methods.Terms;
using Falcon.Models;
using Falcon.Optimization;
using Falcon.Runs;
using Falcon.Runs.Configuration;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Research.Engine;

/// <summary>
/// Our engine under the same settings as <see cref="FaithfulLoop"/>: the recipe of <see cref="UnlearningSession"/> in memory, on given
/// token batches and with a given offset vector.
/// </summary>
internal sealed class EngineSteps : IDisposable
{
    private const long StreamedCacheMemory = 256L << 20;
    private const string Given = "random tokens";

    private readonly RunPlace _place;
    private readonly UnlearningSession _session;
    private readonly UnlearningTraining _training;

    private EngineSteps(RunPlace place, UnlearningSession session, UnlearningTraining training) =>
        (_place, _session, _training) = (place, session, training);

    /// <summary>Opens the model as the variant wants it and does what a run does before its first step.</summary>
    /// <param name="settings">
    /// The model and the variant: <c>uncached</c>; <c>cached</c>, with all activations in memory and the rest of the frozen model released;
    /// or <c>streamed</c>, where also masters, moments and most activations lie in a file.
    /// </param>
    /// <param name="batches">Every batch of the run, forget and retain in turn.</param>
    /// <param name="offset">The principal offset vector [H]; borrowed.</param>
    /// <param name="retainWeight">Weight of the retain loss.</param>
    /// <param name="context">Device, dtype, cancellation.</param>
    public static EngineSteps Open(
        EngineTrialSettings settings,
        IReadOnlyList<TokenBatch> batches,
        Tensor offset,
        double retainWeight,
        RunContext context
    )
    {
        var contrastive = new Contrastive();
        var config = Config(settings, contrastive, retainWeight);
        var place = RunPlace.InMemory();
        UnlearningSession? session = null;
        try
        {
            session = UnlearningSession.Open(config, place, context, measuresModel: false);
            session.TakeTexts([Texts(batches)]);
            session.PlanMemory();
            session.OpenModels();
            var loss = new ContrastiveStatesLoss(contrastive, _ => offset);
            return new EngineSteps(
                place,
                session,
                session.Prepare(inputs => new ComposedObjective(config.Objective, inputs, [loss]))
            );
        }
        catch
        {
            session?.Dispose();
            place.Dispose();
            throw;
        }
    }

    /// <summary>One step; gives the forget and the weighted retain loss.</summary>
    public (double Forget, double Retain) Step(int step)
    {
        var metrics = _training.Step(step);
        return (metrics.ForgetLoss, metrics.RetainLoss);
    }

    public void Dispose()
    {
        _training.Dispose();
        _session.Dispose();
        _place.Dispose();
    }

    private static UnlearnConfig Config(EngineTrialSettings settings, Contrastive contrastive, double retainWeight) =>
        new()
        {
            Model = settings.Model,
            Data = new DataSettings
            {
                Forget = [Given],
                Retain = [Given],
                BatchSize = settings.Batch,
                Shuffle = false,
            },
            Layers = new LayerSettings { Target = settings.Layer },
            Objective = new ObjectiveSettings
            {
                Forget = [contrastive],
                Retain = [new HiddenStates { Weight = [retainWeight] }],
                Filters = [new ConflictProjection { ZeroNormThreshold = 0 }],
            },
            Optimizer = new OptimizerSettings
            {
                Kind = OptimizerKind.SophiaOfficial,
                LearningRate = 5e-5,
                WeightDecay = 1e-3,
                Beta1 = 0.965,
                Beta2 = 0.99,
                Rho = 0.9,
            },
            Engine = settings.Variant switch
            {
                "uncached" => new EngineSettings { Cache = CacheUse.Off },
                // With caches nothing of the frozen model is needed in a step but the layers that are trained.
                "cached" => new EngineSettings { Stream = true, CacheMemory = long.MaxValue },
                _ => new EngineSettings
                {
                    Stream = true,
                    StateInFile = true,
                    CacheMemory = StreamedCacheMemory,
                },
            },
            Evaluation = new EvaluationConfig { Samples = 0 },
            Steps = settings.Steps,
            Seed = settings.Seed,
        };

    // Text i of step t stands at t * batch + i in file order, so the schedule gives back the batches.
    private static TopicTexts Texts(IReadOnlyList<TokenBatch> batches)
    {
        List<int[]> Of(int first) => [.. batches.Where((_, i) => i % 2 == first).SelectMany(batch => batch.Sequences)];
        var (forget, retain) = (Of(0), Of(1));
        return new TopicTexts(forget, retain, [.. forget.Select(_ => 0)], [.. retain.Select(_ => 0)]);
    }
}
