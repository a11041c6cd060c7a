using System.Text.Json;
using Falcon.Checkpoints;
using Falcon.Data;
using Falcon.Evaluation;
using Falcon.Layers;
using Falcon.Methods.Terms;
using Falcon.Optimization;
using Falcon.Runs;
using Falcon.Runs.Configuration;
using Falcon.Runtime;
using Falcon.Tests.Models.Families;
using TorchSharp;
using static TorchSharp.torch;

namespace Falcon.Tests.Runs;

/// <summary>Whole runs on a tiny checkpoint: what must be the same bytes, and what must not.</summary>
public sealed class UnlearnRunTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private UnlearnConfig Config(string model, ulong seed = 1, int? target = 2) =>
        UnlearnConfig.FromPreset("falcon") with
        {
            Model = model,
            Data = new DataSettings
            {
                Forget =
                [
                    TinyCheckpoint.Questions(_folder.At("forget.jsonl"), "forgotten"),
                    TinyCheckpoint.Questions(_folder.At("second.jsonl"), "lost"),
                ],
                Retain = [TinyCheckpoint.Questions(_folder.At("retain.jsonl"), "kept")],
                BatchSize = 2,
            },
            Layers = new LayerSettings
            {
                Target = target,
                Trained = 2,
                Samples = 10,
                BootstrapRounds = 2,
            },
            Steps = 6,
            Seed = seed,
        };

    private string Run(UnlearnConfig config, string name)
    {
        UnlearnRun.Execute(config, _folder.At(name), resume: false, RunContext.Quiet);
        return _folder.At(name, "model");
    }

    [Theory]
    [InlineData(2)]
    [InlineData(null)] // the layer chosen by mutual information
    public void Execute_TwiceWithOneSeed_GivesTheSameBytesAndAnotherSeedOthers(int? target)
    {
        var model = TinyCheckpoint.Write(_folder.At("source"));
        byte[] Weights(ulong seed, string name) =>
            File.ReadAllBytes(Path.Combine(Run(Config(model, seed, target), name), "model.safetensors"));

        var first = Weights(1, "first");

        Assert.Equal(first, Weights(1, "second"));
        Assert.NotEqual(first, Weights(2, "third"));
    }

    private UnlearnConfig Rebuilding(string model, int steps, double noise, UnlearnConfig? preset = null) =>
        (preset ?? UnlearnConfig.FromPreset("falcon-rebuild")) with
        {
            Model = model,
            Data = (preset ?? UnlearnConfig.FromPreset("falcon-rebuild")).Data with
            {
                Forget = Config(model).Data.Forget,
                Retain = Config(model).Data.Retain,
                BatchSize = 2,
                GeneratedRetain = 30,
                RetainBatchSize = 6,
            },
            Layers = (preset ?? UnlearnConfig.FromPreset("falcon-rebuild")).Layers with { Target = 1, StartNoise = noise },
            Steps = steps,
            Seed = 1,
        };

    [Fact]
    public void Execute_RebuiltFromNoise_ResumesToTheSameBytesWithTheSameGeneratedTexts()
    {
        var config = Rebuilding(TinyCheckpoint.Write(_folder.At("source")), steps: 6, noise: 0.1);
        var whole = Run(config, "whole");
        using var source = new CancellationTokenSource();
        Assert.Throws<OperationCanceledException>(() =>
            UnlearnRun.Execute(
                config,
                _folder.At("cut"),
                resume: false,
                RunContext.Quiet with
                {
                    Log = new StopAtStep(3, source),
                    Cancellation = source.Token,
                }
            )
        );
        UnlearnRun.Execute(config, _folder.At("cut"), resume: true, RunContext.Quiet);

        Assert.Equal(
            File.ReadAllBytes(Path.Combine(whole, "model.safetensors")),
            File.ReadAllBytes(_folder.At("cut", "model", "model.safetensors"))
        );
        Assert.Equal(
            File.ReadAllText(_folder.At("whole", "retain-generated.jsonl")),
            File.ReadAllText(_folder.At("cut", "retain-generated.jsonl"))
        );
        Assert.Equal(30, File.ReadLines(_folder.At("whole", "retain-generated.jsonl")).Count());
        using var before = Checkpoint.Open(config.Model);
        using var after = Checkpoint.Open(whole);
        foreach (var (old, changed) in before.Entries.Zip(after.Entries))
            Assert.Equal(
                old.Name.Contains("layers", StringComparison.Ordinal) && old.Name.Contains("proj", StringComparison.Ordinal),
                !before.Locate(old.Name).File.Bytes(old).SequenceEqual(after.Locate(old.Name).File.Bytes(changed))
            );
    }

    [Theory]
    [InlineData("outputs", true)]
    [InlineData("tokens", false)]
    public void Execute_RebuiltEmbedding_ChangesEveryMatrixAndResumesToTheSameBytes(string kind, bool tied)
    {
        var start = Rebuilding(
            TinyCheckpoint.Write(_folder.At("source"), tied: tied),
            steps: 6,
            noise: 0.1,
            UnlearnConfig.FromPreset("falcon-anew")
        );
        var config = ConfigFile.Read(null, [$$"""objective.retain=[{"kind":"{{kind}}","weight":3}]"""], start);
        var whole = Run(config, "whole");
        using var source = new CancellationTokenSource();
        Assert.Throws<OperationCanceledException>(() =>
            UnlearnRun.Execute(
                config,
                _folder.At("cut"),
                resume: false,
                RunContext.Quiet with
                {
                    Log = new StopAtStep(3, source),
                    Cancellation = source.Token,
                }
            )
        );
        UnlearnRun.Execute(config, _folder.At("cut"), resume: true, RunContext.Quiet);

        Assert.Equal(
            File.ReadAllBytes(Path.Combine(whole, "model.safetensors")),
            File.ReadAllBytes(_folder.At("cut", "model", "model.safetensors"))
        );
        using var before = Checkpoint.Open(config.Model);
        using var after = Checkpoint.Open(whole);
        Assert.Equal(tied, before.Config.TiedEmbeddings);
        foreach (var (old, changed) in before.Entries.Zip(after.Entries))
            Assert.Equal(
                old.Shape.Length == 2,
                !before.Locate(old.Name).File.Bytes(old).SequenceEqual(after.Locate(old.Name).File.Bytes(changed))
            );
    }

    [Fact]
    public void Execute_Teacher_IsWhatIsKept()
    {
        var model = TinyCheckpoint.Write(_folder.At("source"));
        var own = Rebuilding(model, steps: 3, noise: 0.1);
        var unlearned = Run(
            Config(model) with
            {
                Optimizer = new OptimizerSettings { LearningRate = 3e-2 },
                Steps = 6,
            },
            "unlearned"
        );
        UnlearnConfig Taught(string teacher, double noise) =>
            WithTeacher(own, teacher) with { Layers = own.Layers with { StartNoise = noise } };
        double FirstRetainLoss(string run) =>
            JsonDocument.Parse(File.ReadLines(_folder.At(run, "metrics.jsonl")).First()).RootElement.GetProperty("retainLoss").GetDouble();

        // The model as its own teacher changes nothing, to the bit.
        Assert.Equal(
            File.ReadAllBytes(Path.Combine(Run(own, "own"), "model.safetensors")),
            File.ReadAllBytes(Path.Combine(Run(Taught(model, 0.1), "taught by itself"), "model.safetensors"))
        );
        Run(Taught(model, 0), "at rest");
        Run(Taught(unlearned, 0), "drawn to the other");
        Assert.Equal(0, FirstRetainLoss("at rest"), 1e-6);
        Assert.True(FirstRetainLoss("drawn to the other") > 1e-3, $"{FirstRetainLoss("drawn to the other")}");
        Assert.Contains(
            "\"teacher/model.safetensors\"",
            File.ReadAllText(_folder.At("drawn to the other", "run.json")),
            StringComparison.Ordinal
        );
    }

    private static UnlearnConfig WithTeacher(UnlearnConfig config, string teacher) =>
        config with
        {
            Objective = config.Objective with { Retain = [new Outputs { Weight = [3], Teacher = teacher }] },
        };

    [Fact]
    public void Execute_TeacherThatCannotBeUsed_IsRefused()
    {
        var config = Rebuilding(TinyCheckpoint.Write(_folder.At("source")), steps: 3, noise: 0.1);
        var other = FamilyCase.Of("Mistral").Write(_folder.At("other"));
        var error = Assert.Throws<UserInputException>(() => Run(WithTeacher(config, other), "run"));
        Assert.Contains("objective.retain.outputs.teacher", error.Message, StringComparison.Ordinal);
        Assert.Contains(other, error.Message, StringComparison.Ordinal);
        error = Assert.Throws<UserInputException>(() =>
            Run(WithTeacher(config, _folder.At("absent")), "run")
        );
        Assert.Contains($"objective.retain.outputs.teacher: {_folder.At("absent")}", error.Message, StringComparison.Ordinal);
        var swapped = TinyCheckpoint.WithOtherTokenizer(TinyCheckpoint.Write(_folder.At("swapped")));
        error = Assert.Throws<UserInputException>(() => Run(WithTeacher(config, swapped), "run"));
        Assert.Contains(
            $"objective.retain.outputs.teacher: the tokenizer of {swapped} is not that of the model (token ",
            error.Message,
            StringComparison.Ordinal
        );
        Assert.False(Directory.Exists(_folder.At("run")));
    }

    [Fact]
    public void Execute_NoiseThatTheStepsDoNotMakeGood_StopsAndLeavesNothing()
    {
        var config = Rebuilding(TinyCheckpoint.Write(_folder.At("source")), steps: 20, noise: 1);
        var error = Assert.Throws<NumericalFailureException>(() =>
            Run(config with { Optimizer = config.Optimizer with { LearningRate = 1e-6 } }, "run")
        );

        Assert.Contains("layers.startNoise", error.Message, StringComparison.Ordinal);
        Assert.False(Directory.Exists(_folder.At("run")));
    }

    [Theory]
    [InlineData(ScalarType.Float32, 1)]
    [InlineData(ScalarType.BFloat16, 3)]
    [InlineData(ScalarType.Float16, 1)]
    public void Execute_AnyStorage_ChangesTheTrainedTensorsAndNothingElse(ScalarType dtype, int shards)
    {
        var source = TinyCheckpoint.Write(_folder.At("source"), dtype, shards);
        var result = Run(Config(source), "run");

        Assert.Equal([.. Names(source).Append("README.md").Order(StringComparer.Ordinal)], Names(result)); // the model card is new
        TinyCheckpoint.RequireSameConfigWithTokenIds(source, result);
        foreach (var name in Names(source).Where(name => name != "config.json" && !name.EndsWith(".safetensors", StringComparison.Ordinal)))
            Assert.Equal(File.ReadAllBytes(Path.Combine(source, name)), File.ReadAllBytes(Path.Combine(result, name)));
        using var before = Checkpoint.Open(source);
        using var after = Checkpoint.Open(result);
        Assert.Equal(before.WeightFiles.Select(Path.GetFileName), after.WeightFiles.Select(Path.GetFileName));
        string[] trained = ["model.layers.1.mlp.down_proj.weight", "model.layers.2.mlp.down_proj.weight"];
        foreach (var (old, changed) in before.Entries.Zip(after.Entries))
        {
            Assert.Equal((old.Name, old.DType, old.Begin, old.End), (changed.Name, changed.DType, changed.Begin, changed.End));
            var same = before.Locate(old.Name).File.Bytes(old).SequenceEqual(after.Locate(old.Name).File.Bytes(changed));
            Assert.True(same != trained.Contains(old.Name), old.Name);
        }
    }

    [Theory]
    [InlineData(OptimizerKind.AdamW, "falcon")]
    [InlineData(OptimizerKind.Sophia, "paper")]
    public void Step_AThousandTimes_KeepsTheNumberOfLiveTensors(OptimizerKind optimizer, string preset)
    {
        var config = Config(TinyCheckpoint.Write(_folder.At("source")));
        config = config with
        {
            Steps = 1000,
            Optimizer = config.Optimizer with { Kind = optimizer, LearningRate = 1e-5, CurvatureEvery = 5 },
            Objective = UnlearnConfig.FromPreset(preset).Objective,
            Evaluation = new EvaluationConfig { Samples = 0 },
        };
        using var place = RunPlace.InMemory();
        using var session = UnlearningSession.Open(config, place, RunContext.Quiet, measuresModel: false);
        session.ReadTexts();
        session.PlanMemory();
        session.OpenModels();
        session.ChooseLayer();
        using var trainer = session.Prepare();
        trainer.Step(0); // the first step makes the optimiser's state

        var live = DisposeScopeManager.Statistics.TensorStatistics.ThreadTotalLiveCount;
        for (var step = 1; step < config.Steps; step++)
        {
            trainer.Step(step);
            Assert.True(DisposeScopeManager.Statistics.TensorStatistics.ThreadTotalLiveCount == live, $"step {step}");
        }
    }

    private static string[] Names(string folder) =>
        [.. Directory.EnumerateFiles(folder).Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal)];
}
