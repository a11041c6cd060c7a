using System.Text.Json;
using Falcon.Data;
using Falcon.Evaluation;
using Falcon.Layers;
using Falcon.Runs;
using Falcon.Runs.Attacking;
using Falcon.Runs.Configuration;
using Falcon.Runs.Evaluating;
using Falcon.Runs.Training;
using Falcon.Runtime;
using Falcon.Runtime.Machine;
using Falcon.Tests.Attacks.Protocol;
using static TorchSharp.torch;

namespace Falcon.Tests.Runs;

/// <summary>Runs alone: it looks at the memory of the whole process.</summary>
[CollectionDefinition(nameof(FreedMemoryTests), DisableParallelization = true)]
public sealed class AloneWithTheHeap;

/// <summary>
/// A heap that batches of ever other lengths have torn: most of it is free, and the C library keeps it. Every verb must give it back, and
/// the bytes that it writes must not depend on that.
/// </summary>
[Collection(nameof(FreedMemoryTests))]
public sealed class FreedMemoryTests : IDisposable
{
    private const long Torn = 512L << 20;
    private const long Limit = 400L << 20; // models are read layer by layer under it

    private readonly TemporaryFolder _folder = new();
    private readonly List<Tensor> _walls = [];

    public void Dispose()
    {
        foreach (var wall in _walls) wall.Dispose();
        _folder.Dispose();
    }

    [Theory]
    [InlineData("unlearn")]
    [InlineData("train")]
    [InlineData("evaluate")]
    [InlineData("attack")]
    [InlineData("analyze")]
    public void Execute_OnATornHeap_GivesFreedMemoryBack(string verb)
    {
        Assert.SkipUnless(FreedMemory.CanReturn, "this C library gives nothing back on request");
        var model = TinyCheckpoint.Write(_folder.At("model"));
        var before = FreedMemory.ResidentBytes();
        Tear();
        var torn = FreedMemory.ResidentBytes();
        Assert.True(torn - before > Torn / 2, $"the C library keeps no freed memory here: {before} -> {torn}");

        Run(verb, model);

        var after = FreedMemory.ResidentBytes();
        Assert.True(torn - after > Torn / 2, $"{verb}: resident {PeakMemory.Text(torn)} -> {PeakMemory.Text(after)}");
    }

    [Fact]
    public void ReturnAbove_InTheMiddleOfARun_ChangesNoByte()
    {
        var model = TinyCheckpoint.Write(_folder.At("model"));
        byte[] Bytes(string name)
        {
            UnlearnRun.Execute(Unlearning(model), _folder.At(name), resume: false, RunContext.Quiet);
            return File.ReadAllBytes(_folder.At(name, "model", "model.safetensors"));
        }

        var plain = Bytes("plain");
        Tear();
        using var always = FreedMemory.ReturnAbove(0);

        Assert.Equal(plain, Bytes("trimmed"));
    }

    [Fact]
    public void ReturnAbove_BelowTheBound_DoesNothing()
    {
        var watch = FreedMemory.ReturnAbove(long.MaxValue);
        watch.Dispose();
        Assert.Equal(0, watch.Times);
    }

    [Fact]
    public void Execute_Unlearning_RecordsPredictedPeakAndWhyItsDType()
    {
        var record = UnlearnRun.Execute(
            Unlearning(TinyCheckpoint.Write(_folder.At("model"), bfloat16)),
            _folder.At("run"),
            resume: false,
            RunContext.Quiet with { DType = "auto" }
        );

        Assert.True(record.PredictedPeakBytes > 0);
        Assert.Contains(MatrixTiles.MultiplyBFloat16 ? "in bfloat16" : "in float32", record.Compute, StringComparison.Ordinal);
        var environment = JsonSerializer.Deserialize<EnvironmentRecord>(
            File.ReadAllText(_folder.At("run", "environment.json")),
            ResultJson.Options
        );
        Assert.Equal(record.Compute, environment!.ComputeReason);
    }

    [Fact]
    public void Execute_ResumedInAnotherDType_IsRefused()
    {
        var config = Unlearning(TinyCheckpoint.Write(_folder.At("model")));
        using var stop = new CancellationTokenSource();
        var stopped = RunContext.Quiet with { Log = new StopAtStep(3, stop), Cancellation = stop.Token };
        Assert.Throws<OperationCanceledException>(() => UnlearnRun.Execute(config, _folder.At("run"), resume: false, stopped));

        var other = RunContext.Quiet with { DType = "bfloat16" };
        var error = Assert.Throws<UserInputException>(() => UnlearnRun.Execute(config, _folder.At("run"), resume: true, other));

        Assert.Contains("--dtype float32", error.Message, StringComparison.Ordinal);
        UnlearnRun.Execute(config, _folder.At("run"), resume: true, RunContext.Quiet);
    }

    // Tensors of 5 to 500 tokens each between small ones that stay, as the batches of a step lie between what is kept of it.
    private void Tear()
    {
        const int Width = 4096;
        ones([31L << 18]).Dispose(); // glibc gives tensors of up to this size a place in its heap from now on
        var random = new SeededRandom(1, "lengths");
        List<Tensor> batches = [];
        for (var bytes = 0L; bytes < Torn; bytes += batches[^1].numel() * sizeof(float))
        {
            batches.Add(ones([5 + random.Next(496), Width]));
            _walls.Add(ones([1024]));
        }

        foreach (var batch in batches) batch.Dispose();
    }

    private void Run(string verb, string model)
    {
        var context = RunContext.Quiet with { MemoryLimit = Limit };
        switch (verb)
        {
            case "unlearn":
                UnlearnRun.Execute(Unlearning(model), _folder.At("run"), resume: false, context);
                break;
            case "train":
                var train = new TrainConfig
                {
                    StartFrom = model,
                    Data = new TrainDataConfig { Questions = [Questions("forgotten")], BatchSize = 4 },
                    Steps = 3,
                };
                TrainRun.Execute(train, _folder.At("run"), context);
                break;
            case "evaluate":
                File.WriteAllText(_folder.At("text.txt"), "A stone lies in the sea.\n");
                var evaluated = new EvaluationSettings(model, ["perplexity"], _folder.At("text.txt"), null, _folder.At("result.json"))
                {
                    MemoryLimit = Limit,
                    Device = "cpu",
                };
                EvaluateRun.Execute(evaluated, SilentRunLog.Instance, TimeProvider.System, CancellationToken.None);
                break;
            case "attack":
                var questions = PlaceQuestions.Write(_folder.At("questions.jsonl"), PlaceQuestions.Subjects);
                var attacked = new AttackRunSettings(model, model, [questions], _folder.At("run")) { Attacks = ["prefilling"] };
                AttackRun.Execute(attacked, context);
                break;
            default:
                using (var directory = RunDirectory.Create(_folder.At("run")))
                    AnalyzeRun.Execute(
                        new AnalyzeConfig { Model = model, Data = Data(), Samples = 10, BootstrapRounds = 2 },
                        directory,
                        context
                    );
                break;
        }
    }

    private UnlearnConfig Unlearning(string model) =>
        UnlearnConfig.FromPreset("falcon") with
        {
            Model = model,
            Data = Data(),
            Layers = new LayerSettings { Target = 2, Trained = 2 },
            Steps = 6,
            Seed = 1,
        };

    private DataSettings Data() => new() { Forget = [Questions("forgotten")], Retain = [Questions("kept")], BatchSize = 2 };

    private string Questions(string subject) => TinyCheckpoint.Questions(_folder.At($"{subject}.jsonl"), subject);
}
