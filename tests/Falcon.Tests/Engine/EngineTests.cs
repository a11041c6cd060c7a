using System.Text.Json;
using Falcon.Checkpoints;
using Falcon.Data;
using Falcon.Engine;
using Falcon.Evaluation;
using Falcon.Layers;
using Falcon.Models;
using Falcon.Optimization;
using Falcon.Runs;
using Falcon.Runs.Configuration;
using Falcon.Runtime;
using Falcon.Tests.Runs;
using static TorchSharp.torch;

namespace Falcon.Tests.Engine;

/// <summary>
/// Every way of running gives the result of the plain one: shared prefix, kept activations, a streamed model, state in a file, parts of
/// batches.
/// </summary>
public sealed class EngineTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private UnlearnConfig Config(EngineSettings engine, IReadOnlyList<string>? parameters = null) =>
        UnlearnConfig.FromPreset("falcon") with
        {
            Model = Directory.Exists(_folder.At("source")) ? _folder.At("source") : TinyCheckpoint.Write(_folder.At("source")),
            Data = new DataSettings
            {
                Forget = [TinyCheckpoint.Questions(_folder.At("forget.jsonl"), "forgotten")],
                Retain = [TinyCheckpoint.Questions(_folder.At("retain.jsonl"), "kept")],
                BatchSize = 4,
            },
            Layers = new LayerSettings
            {
                Target = 2,
                Trained = 2,
                Parameters = parameters ?? ["mlp.down_proj"],
            },
            Optimizer = UnlearnConfig.FromPreset("falcon").Optimizer with { Kind = OptimizerKind.AdamW, LearningRate = 1e-3 },
            Steps = 9,
            Engine = engine,
        };

    private Dictionary<string, float[]> Run(
        string name,
        EngineSettings engine,
        RunContext? context = null,
        IReadOnlyList<string>? parameters = null
    )
    {
        UnlearnRun.Execute(Config(engine, parameters), _folder.At(name), resume: false, context ?? RunContext.Quiet);
        Assert.False(File.Exists(_folder.At(name, "scratch.bin")));
        using var scope = NewDisposeScope();
        using var checkpoint = Checkpoint.Open(_folder.At(name, "model"));
        return checkpoint.Entries.ToDictionary(
            entry => entry.Name,
            entry => checkpoint.LoadStored(entry.Name).to(float32).data<float>().ToArray()
        );
    }

    public static TheoryData<string, string> Ways()
    {
        var data = new TheoryData<string, string>();
        foreach (var parameters in new[] { "mlp.down_proj", "all" })
            foreach (
                var way in new[]
                {
                "shared",
                "cached",
                "cached in a file",
                "streamed",
                "streamed with state in a file",
                "parts",
                "cached parts",
                }
            )
                data.Add(parameters, way);
        return data;
    }

    [Theory]
    [MemberData(nameof(Ways))]
    public void Execute_AnyWay_GivesThePlainResult(string parameters, string way)
    {
        EngineSettings engine = way switch
        {
            "shared" => new() { Cache = CacheUse.Off },
            "cached" => new() { Cache = CacheUse.On },
            "cached in a file" => new() { Cache = CacheUse.On, CacheMemory = 5000 },
            "streamed" => new() { Stream = true },
            "streamed with state in a file" => new() { Stream = true, StateInFile = true, CacheMemory = 0 },
            "parts" => new() { Cache = CacheUse.Off, MicroBatchTokens = 80 },
            _ => new() { Cache = CacheUse.On, MicroBatchTokens = 80 },
        };

        var expected = Run("plain", new EngineSettings { Path = EnginePath.Plain }, parameters: [parameters]);
        var actual = Run("other", engine, parameters: [parameters]);

        foreach (var (name, values) in expected)
            Assert.True(
                values.Zip(actual[name], (a, b) => Math.Abs(a - b)).Max() <= 1e-4,
                $"{name}: {values.Zip(actual[name], (a, b) => Math.Abs(a - b)).Max()}"
            );
        using var scope = NewDisposeScope();
        using var source = Checkpoint.Open(_folder.At("source"));
        const string trained = "model.layers.2.mlp.down_proj.weight";
        Assert.True(source.LoadStored(trained).data<float>().ToArray().Zip(expected[trained], (a, b) => Math.Abs(a - b)).Max() > 1e-3);
    }

    [Fact]
    public void Execute_Streamed_HasTheSameBitsAsCachedInMemory()
    {
        var cached = Run("cached", new EngineSettings { Cache = CacheUse.On });
        var streamed = Run("streamed", new EngineSettings { Stream = true, StateInFile = true, CacheMemory = 2000 });
        foreach (var (name, values) in cached) Assert.Equal(values, streamed[name]);
    }

    [Fact]
    public void Execute_CacheDirectory_IsReadAgainByTheSameRunOnly()
    {
        var engine = new EngineSettings { CacheDirectory = _folder.At("kept"), CacheMemory = 3000 };
        var alone = Run("alone", new EngineSettings { Cache = CacheUse.On });
        var (first, again) = (new Messages(), new Messages());
        var written = Run("first", engine, RunContext.Quiet with { Log = first });
        var read = Run("again", engine with { CacheMemory = 8000 }, RunContext.Quiet with { Log = again });
        foreach (var (name, values) in alone)
        {
            Assert.Equal(values, written[name]);
            Assert.Equal(values, read[name]);
        }

        Assert.Contains(first.All, message => message.Contains("kept in", StringComparison.Ordinal));
        Assert.Contains(again.All, message => message.Contains("read from", StringComparison.Ordinal));

        // Another dtype, other layers and other weights are other activations; a damaged file is made anew.
        string Used(string name, Func<UnlearnConfig, UnlearnConfig>? change = null, string dtype = "auto")
        {
            var log = new Messages();
            var config = Config(engine);
            UnlearnRun.Execute(
                change?.Invoke(config) ?? config,
                _folder.At(name),
                resume: false,
                RunContext.Quiet with
                {
                    Log = log,
                    DType = dtype,
                }
            );
            return log.All.Single(message => message.StartsWith("activations of the frozen model", StringComparison.Ordinal));
        }

        Assert.Contains("kept in", Used("bfloat16", dtype: "bfloat16"), StringComparison.Ordinal);
        Assert.Contains(
            "kept in",
            Used("layers", config => config with { Layers = config.Layers with { Trained = 1 } }),
            StringComparison.Ordinal
        );
        Assert.Contains("kept in", Used("model", config => config with { Model = _folder.At("first", "model") }), StringComparison.Ordinal);
        Assert.Contains("read from", Used("third"), StringComparison.Ordinal);
        foreach (var file in Directory.GetFiles(_folder.At("kept"), "*.activations"))
        {
            var bytes = File.ReadAllBytes(file);
            bytes[bytes.Length / 2] ^= 1;
            File.WriteAllBytes(file, bytes);
        }

        Assert.Contains("kept in", Used("damaged"), StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(_folder.At("kept"), "*.unfinished"));
    }

    [Fact]
    public void Execute_InterruptedWhileStreamed_ResumesToTheSameBits()
    {
        var engine = new EngineSettings { Stream = true, StateInFile = true, CacheMemory = 2000 };
        var whole = Run("whole", engine);
        using var stop = new CancellationTokenSource();
        var log = new StopAtStep(5, stop);
        Assert.Throws<OperationCanceledException>(() =>
            UnlearnRun.Execute(
                Config(engine),
                _folder.At("halves"),
                resume: false,
                RunContext.Quiet with
                {
                    Log = log,
                    Cancellation = stop.Token,
                }
            )
        );
        UnlearnRun.Execute(Config(engine), _folder.At("halves"), resume: true, RunContext.Quiet);

        using var scope = NewDisposeScope();
        using var checkpoint = Checkpoint.Open(_folder.At("halves", "model"));
        foreach (var (name, values) in whole) Assert.Equal(values, checkpoint.LoadStored(name).to(float32).data<float>().ToArray());
    }

    [Fact]
    public void Execute_InterruptedWithChosenLayer_DoesNotAnalyseAgain()
    {
        using var stop = new CancellationTokenSource();
        var config = Config(new EngineSettings()) with
        {
            Layers = new LayerSettings
            {
                Target = null,
                Trained = 1,
                SearchFrom = 0.3,
                Samples = 8,
            },
        };
        Assert.Throws<OperationCanceledException>(() =>
            UnlearnRun.Execute(
                config,
                _folder.At("run"),
                resume: false,
                RunContext.Quiet with
                {
                    Log = new StopAtStep(3, stop),
                    Cancellation = stop.Token,
                }
            )
        );
        var chosen = File.ReadAllText(_folder.At("run.partial", "layers.json"));
        var log = new Messages();
        UnlearnRun.Execute(config, _folder.At("run"), resume: true, RunContext.Quiet with { Log = log });

        Assert.Equal(chosen, File.ReadAllText(_folder.At("run", "layers.json")));
        Assert.DoesNotContain(log.All, message => message.StartsWith("analysis of", StringComparison.Ordinal));
        Assert.Contains(log.All, message => message.Contains("mutual information of layers", StringComparison.Ordinal));
    }

    [Fact]
    public void Execute_BFloat16_StaysNearFloat32()
    {
        var exact = Run("float32", new EngineSettings());
        var rounded = Run("bfloat16", new EngineSettings(), RunContext.Quiet with { DType = "bfloat16" });
        foreach (var name in exact.Keys.Where(name => name.Contains("layers.2.mlp.down", StringComparison.Ordinal)))
        {
            // AdamW moves an element by at most the learning rate a step, so a wrong sign everywhere would show as 2 x 9 x 1e-3.
            var difference = exact[name].Zip(rounded[name], (a, b) => Math.Abs(a - b)).Average();
            Assert.InRange(difference, 1e-9, 3e-3);
        }
    }

    [Fact]
    public void LayerwisePass_StreamedModel_ScoresAndSamplesTheSameBits()
    {
        using var scope = NewDisposeScope();
        using var checkpoint = Checkpoint.Open(TinyCheckpoint.Write(_folder.At("source"), shards: 3));
        using var weights = checkpoint.LoadWeights(float32, CPU);
        using var streamed = checkpoint.StreamWeights(float32, CPU);
        var (resident, other) = (new CausalLM(checkpoint.Config, weights), new CausalLM(checkpoint.Config, streamed));
        List<ScoredSequence> texts =
        [
            .. Enumerable.Range(3, 20).Select(n => new ScoredSequence([.. Enumerable.Range(0, n).Select(i => (i * 37 + n) % 250)], 1)),
        ];

        var expected = TokenLikelihoods.Compute(resident, texts, 0, tokensPerBatch: 40);
        var actual = TokenLikelihoods.Compute(other, texts, 0, tokensPerBatch: 40);
        Assert.Equal(expected.SelectMany(score => score.LogProbabilities), actual.SelectMany(score => score.LogProbabilities));

        int[][] tokens = [.. texts.Select(text => text.Tokens)];
        var states = ActivationSampler.LastTokenStates(resident, tokens, 0, TinyCheckpoint.Layers - 1, 0);
        foreach (var (a, b) in states.Zip(ActivationSampler.LastTokenStates(other, tokens, 0, TinyCheckpoint.Layers - 1, 0)))
            Assert.True(a.equal(b).all().item<bool>());

        // One greedy continuation goes through the streamed layers token by token.
        Assert.Equal(Generate(resident), Generate(other));
        static float[] Generate(CausalLM model)
        {
            using var noGrad = no_grad();
            using var context = model.Causal(5);
            return model.Logits(tensor(new long[] { 1, 2, 3, 4, 5 }, [1, 5]), context).data<float>().ToArray();
        }
    }

    [Fact]
    public void RunRecord_StatesThePeak()
    {
        Run("run", new EngineSettings());
        using var record = JsonDocument.Parse(File.ReadAllText(_folder.At("run", "run.json")));
        Assert.True(record.RootElement.GetProperty("peakBytes").GetInt64() > 10_000_000);
    }

    private sealed class Messages : IRunLog
    {
        public List<string> All { get; } = [];

        public void Information(string message) => All.Add(message);

        public void Warning(string message) => All.Add(message);

        public void Progress(string activity, int done, int total, string? detail = null) { }
    }
}
