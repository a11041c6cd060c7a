using System.Text.Json;
using Falcon.Checkpoints;
using Falcon.Data;
using Falcon.Engine;
using Falcon.Evaluation;
using Falcon.Layers;
using Falcon.Methods.Falcon;
using Falcon.Results;
using Falcon.Runs;
using Falcon.Runs.Configuration;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Tests.Runs;

/// <summary>
/// The utility budget, the choice of parameters and the search of the way, on a tiny checkpoint and on made-up measurements.
/// </summary>
public sealed class StepSelectionTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private UnlearnConfig Config(MonitorConfig monitor) =>
        UnlearnConfig.FromPreset("falcon") with
        {
            Model = TinyCheckpoint.Write(_folder.At("source")),
            Data = new DataSettings
            {
                Forget = [TinyCheckpoint.Questions(_folder.At("forget.jsonl"), "forgotten")],
                Retain = [TinyCheckpoint.Questions(_folder.At("retain.jsonl"), "kept")],
                BatchSize = 2,
            },
            Layers = new LayerSettings { Target = 2, Trained = 2 },
            Evaluation = new EvaluationConfig { Samples = 0 },
            Monitor = monitor,
            Steps = 8,
        };

    [Fact]
    public void Execute_BudgetAlwaysSpent_StopsAndKeepsTheOriginalParameters()
    {
        // Large steps without a retain loss on random weights. Which steps lose utility is chance; what is kept and when it ends follows
        // from the measurements.
        var config = Config(
            new MonitorConfig
            {
                Every = 1,
                Patience = 2,
                UtilityBudget = 0,
            }
        );
        config = config with
        {
            Optimizer = config.Optimizer with { LearningRate = 0.5 },
            Objective = config.Objective with
            {
                Forget = [new Contrastive(), new NormPenalty()],
                Retain = [new HiddenStates { Weight = [0] }],
            },
        };

        var record = UnlearnRun.Execute(config, _folder.At("run"), resume: false, RunContext.Quiet);

        var lines = File.ReadLines(_folder.At("run", "monitor.jsonl"))
            .Select(line => JsonSerializer.Deserialize<Measurement>(line, ResultJson.LineOptions)!)
            .ToList();
        var best = lines.Aggregate((kept, next) => next.IsBetterThan(kept, 0) ? next : kept);
        Assert.Equal(best, record.Monitor!.Kept);
        Assert.True(record.Monitor.Kept.UtilityLoss <= 0);
        if (record.Monitor.Steps < config.Steps) Assert.All(lines.TakeLast(2), line => Assert.True(line.UtilityLoss > 0));
    }

    [Fact]
    public void Execute_InterruptedAndResumed_GivesTheSameBytesAndMeasurements()
    {
        var config = Config(new MonitorConfig { Every = 2, SearchPath = true });
        UnlearnRun.Execute(config, _folder.At("whole"), resume: false, RunContext.Quiet);

        using var source = new CancellationTokenSource();
        var log = new CancelAfter(source, "step 4:");
        Assert.ThrowsAny<OperationCanceledException>(() =>
            UnlearnRun.Execute(config, _folder.At("parts"), resume: false, RunContext.Quiet with { Log = log, Cancellation = source.Token })
        );
        UnlearnRun.Execute(config, _folder.At("parts"), resume: true, RunContext.Quiet);

        Assert.Equal(
            File.ReadAllBytes(_folder.At("whole", "model", "model.safetensors")),
            File.ReadAllBytes(_folder.At("parts", "model", "model.safetensors"))
        );
        Assert.Equal(File.ReadAllLines(_folder.At("whole", "monitor.jsonl")), File.ReadAllLines(_folder.At("parts", "monitor.jsonl")));
    }

    [Fact]
    public void Restore_AfterFurtherChanges_GivesTheKeptParametersBitForBit()
    {
        var (weights, model) = Checkpoint.LoadModel(TinyCheckpoint.Write(_folder.At("model")), float32, CPU);
        using var owned = weights;
        using var trained = new TrainedParameters(model, ["model.layers.1.mlp.down_proj.weight"]);
        using var best = new BestStep(trained, utilityBudget: 0.01);
        var kept = trained.Leaves[0].data<float>().ToArray();

        Assert.True(best.Offer(new Measurement(1, 1, 5, 0.2, null, 0.9, 0.005)));
        using (no_grad()) trained.Leaves[0].detach().add_(1);
        Assert.False(best.Offer(new Measurement(2, 1, 6, 0.1, null, 0.8, 0.02)));   // closer, but over the budget
        best.Restore();

        Assert.Equal(kept, trained.Leaves[0].data<float>().ToArray());
    }

    [Fact]
    public void Run_LossGrowingWithTheShare_LandsOnTheTarget()
    {
        // Answer loss 20 share^3 passes the target 6.5 at share (6.5 / 20)^(1/3) = 0.6875; the distance is the relative error of the loss.
        static Measurement At(double share) =>
            new(100, share, 20 * Math.Pow(share, 3), Math.Abs(20 * Math.Pow(share, 3) / 6.5 - 1), null, 1 - 0.02 * share, 0.02 * share);
        List<Measurement> measured = [];

        PathSearch.Run(At(1), 6.5, refine: false, budget: null, share => { measured.Add(At(share)); return measured[^1]; });

        Assert.InRange(measured.MinBy(m => m.Distance)!.Share, 0.68, 0.695);
        Assert.True(measured.Count <= 7);
    }

    [Fact]
    public void Run_BestPointOverTheBudget_FindsTheLargestShareWithinIt()
    {
        // Utility loss 0.02 share is within 1 % up to share 0.5; distance falls with the share.
        static Measurement At(double share) => new(100, share, 6 * share, 1 - share, null, 1 - 0.02 * share, 0.02 * share);
        List<Measurement> measured = [];

        PathSearch.Run(At(1), 6.5, refine: false, budget: 0.01, share => { measured.Add(At(share)); return measured[^1]; });

        Assert.InRange(measured.Where(m => m.IsWithin(0.01)).MinBy(m => m.Distance)!.Share, 0.45, 0.5);
    }

    private sealed class CancelAfter(CancellationTokenSource source, string wanted) : IRunLog
    {
        public void Information(string message)
        {
            if (message.StartsWith(wanted, StringComparison.Ordinal)) source.Cancel();
        }

        public void Warning(string message) { }

        public void Progress(string stage, int done, int total, string? status = null) { }
    }
}
