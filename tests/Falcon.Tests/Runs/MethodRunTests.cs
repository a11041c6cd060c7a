using System.Text.Json;
using Falcon.Checkpoints;
using Falcon.Data;
using Falcon.Engine;
using Falcon.Evaluation;
using Falcon.Layers;
using Falcon.Methods;
using Falcon.Methods.Baselines;
using Falcon.Methods.Terms;
using Falcon.Models.Families;
using Falcon.Optimization;
using Falcon.Runs;
using Falcon.Runs.Configuration;
using Falcon.Runs.Training;
using Falcon.Runtime;
using Falcon.Tokenization;
using static TorchSharp.torch;

namespace Falcon.Tests.Runs;

/// <summary>A tiny checkpoint that was taught the questions to forget and those to keep, made once for the class.</summary>
public sealed class TaughtModel : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public TaughtModel()
    {
        (Forget, Retain) = (
            TinyCheckpoint.Questions(_folder.At("forget.jsonl"), "forgotten"),
            TinyCheckpoint.Questions(_folder.At("retain.jsonl"), "kept")
        );
        var config = new TrainConfig
        {
            StartFrom = TinyCheckpoint.Write(_folder.At("random")),
            Data = new TrainDataConfig { Questions = [Forget, Retain], BatchSize = 8 },
            Optimizer = new OptimizerSettings { LearningRate = 1e-2 },
            Steps = 120,
        };
        TrainRun.Execute(config, Model, RunContext.Quiet);
    }

    public string Model => _folder.At("taught");

    public string Forget { get; }

    public string Retain { get; }

    public void Dispose() => _folder.Dispose();
}

/// <summary>A short run of every method on a tiny checkpoint: what changes, and in which direction.</summary>
public sealed class MethodRunTests(TaughtModel taught) : IClassFixture<TaughtModel>, IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    public static TheoryData<string> Names => [.. MethodCatalog.Names];

    [Theory, MemberData(nameof(Names))]
    public void Execute_EachMethod_ChangesItsParametersAndForgets(string method)
    {
        var config = Config(method);
        UnlearnRun.Execute(config, _folder.At("run"), resume: false, RunContext.Quiet);
        var after = _folder.At("run", "model");

        var changed = Changed(config.Model, after);
        if (config.Layers.Parameters is [LayerSettings.WholeModel])
            Assert.All(changed, item => Assert.True(item.Value || method == "ssd", item.Key));
        else
            Assert.All(changed, item => Assert.True(item.Value == IsTrained(item.Key, config), item.Key));
        Assert.Contains(true, changed.Values);
        if (method == "circuit-breakers") return; // so small a model goes back to its start, whatever noise or weight the run begins with
        var (before, now) = (Nll(config.Model, config), Nll(after, config));
        Assert.True(now > 1.5 * before, $"{method}: loss of the forget answers {before} -> {now}");
        if (method is "ssd" or "scrub")
            return; // no steps; no forget loss after its share of them
        var losses = File.ReadLines(_folder.At("run", "metrics.jsonl"))
            .Select(line => JsonDocument.Parse(line).RootElement.GetProperty("forgetLoss").GetDouble())
            .ToList();
        Assert.True(losses.TakeLast(3).Average() < losses[0], string.Join(" ", losses));
    }

    [Fact]
    public void Execute_TaskVector_GoesTheSameWayBack()
    {
        double[] Values(double alpha, string name)
        {
            var config = Config("task-vector");
            UnlearnRun.Execute(
                config with
                {
                    Objective = config.Objective with { Edits = [new Negation { Scale = alpha }] },
                },
                _folder.At(name),
                resume: false,
                RunContext.Quiet
            );
            return Weight(_folder.At(name, "model"));
        }

        var start = Weight(Config("task-vector").Model);
        var (zero, one, two) = (Values(0, "zero"), Values(1, "one"), Values(2, "two"));

        Assert.Equal(start, zero);
        for (var i = 0; i < start.Length; i++) Assert.Equal(2 * (one[i] - start[i]), two[i] - start[i], 1e-6);
    }

    private UnlearnConfig Config(string method)
    {
        var preset = UnlearnConfig.Of(method);
        var whole = preset.Layers.Parameters is [LayerSettings.WholeModel];
        return preset with
        {
            Model = taught.Model,
            Data = new DataSettings
            {
                Forget = [taught.Forget],
                Retain = [taught.Retain],
                BatchSize = 4,
            },
            Layers = preset.Layers with { Target = whole ? null : 2, Trained = 2 },
            Optimizer = preset.Optimizer with { LearningRate = whole ? 3e-3 : 1e-2, WarmupSteps = 0 },
            Objective = method switch
            {
                "ssd" => new ObjectiveSettings { Edits = [new Dampening { Threshold = 1.5, Strength = 0.3 }] },
                "rmu" or "adaptive-rmu" => preset.Objective with { Retain = [new SquaredError()] },
                // Of answers as sure as these p^5 (1 - p) leaves next to nothing in so few steps.
                "satimp" => preset.Objective with { Forget = [new SaturationImportance { Beta1 = 1, Beta2 = 0.25, Weight = 5 }] },
                _ => preset.Objective,
            },
            Steps = method == "ssd" ? 0 : 24,
            Evaluation = new EvaluationConfig { Samples = 0 },
            Seed = 1,
        };
    }

    private static bool IsTrained(string name, UnlearnConfig config) =>
        TrainedParameters.Select(ModelConfig.Load(config.Model), 2, 2, config.Layers.Parameters).Contains(name)
        && name.Split('.')[2] is ("1" or "2");

    private static Dictionary<string, bool> Changed(string source, string result)
    {
        using var before = Checkpoint.Open(source);
        using var after = Checkpoint.Open(result);
        return before.Entries.ToDictionary(
            entry => entry.Name,
            entry =>
                !before
                    .Locate(entry.Name)
                    .File.Bytes(entry)
                    .SequenceEqual(after.Locate(entry.Name).File.Bytes(after.Locate(entry.Name).Entry))
        );
    }

    private static double Nll(string directory, UnlearnConfig config)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var (weights, model) = Checkpoint.LoadModel(directory, float32, CPU);
        using var owned = weights;
        var topic = TopicTexts.Read(config.Data, PromptEncoder.Plain(HfTokenizer.Load(directory)))[0];
        return new AnswerBatch(topic.Forget, topic.ForgetAnswers, 0).MeanNll(model).item<float>();
    }

    private static double[] Weight(string directory)
    {
        using var checkpoint = Checkpoint.Open(directory);
        using var weight = checkpoint.Load("model.layers.1.mlp.up_proj.weight", float32, CPU);
        return [.. weight.data<float>().Select(x => (double)x)];
    }
}
