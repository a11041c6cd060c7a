using System.Text.Json;
using Falcon.Checkpoints;
using Falcon.Data;
using Falcon.Exchange;
using Falcon.Exchange.Adapters;
using Falcon.Layers;
using Falcon.Runs;
using Falcon.Runs.Configuration;
using Falcon.Runtime;
using Falcon.Tests.Cli;
using Falcon.Tests.Exchange.Adapters;
using Falcon.Tests.Runs;

namespace Falcon.Tests.Exchange;

/// <summary>Models that are no directory as they stand: GGUF files, and bases with an adapter, in unlearning runs and patches.</summary>
public sealed class NamedModelRunTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private static string Gguf()
    {
        var path = Fixtures.At("gguf", "models", "llama-smollm", "llama-smollm.Q8_0.gguf");
        Assert.SkipWhen(!File.Exists(path), $"no GGUF model at {path}");
        return path;
    }

    private (string Model, string Adapter) Adapted() =>
        (TinyCheckpoint.Write(_folder.At("base")), TinyAdapter.Usual().Write(_folder.At("adapter")));

    private static JsonElement Json(CommandRun run)
    {
        Assert.True(run.ExitCode == 0, string.Join('\n', run.Errors));
        return JsonDocument.Parse(run.Output).RootElement;
    }

    private UnlearnConfig Config(string model, string? adapter) =>
        UnlearnConfig.FromPreset("falcon") with
        {
            Model = model,
            Adapter = adapter,
            Data = new DataSettings
            {
                Forget = [TinyCheckpoint.Questions(_folder.At("forget.jsonl"), "forgotten")],
                Retain = [TinyCheckpoint.Questions(_folder.At("retain.jsonl"), "kept")],
                BatchSize = 2,
            },
            Layers = new LayerSettings { Target = 1, Trained = 1 },
            Steps = 4,
            Seed = 1,
        };

    [Fact]
    public void Unlearn_OfAGgufFile_KeepsTheOriginalForLaterVerbs()
    {
        var file = Gguf();
        var run = _folder.At("run");
        var record = UnlearnRun.Execute(Config(file, null), run, resume: false, RunContext.Quiet, NamedModel.Write);

        Assert.Equal(ContentHash.OfFile(file), record.Files.Single(one => one.Name == "source/llama-smollm.Q8_0.gguf").Sha256);
        using (var config = JsonDocument.Parse(File.ReadAllText(Path.Combine(run, "config.json"))))
            Assert.Equal(file, config.RootElement.GetProperty("model").GetString());
        Assert.DoesNotContain(
            Path.GetDirectoryName(file)!,
            File.ReadAllText(Path.Combine(run, "model", "README.md")),
            StringComparison.Ordinal
        );
        var (original, model) = (Path.Combine(run, "original"), Path.Combine(run, "model"));

        // A patch against the file is one against the directory that the run made of it.
        var patch = _folder.At("change.safetensors");
        Json(CommandRun.Of("patch", "create", "--base", file, "--model", model, "--out", patch, "--json"));
        Assert.Equal(
            "base",
            Json(CommandRun.Of("patch", "verify", "--model", file, "--patch", patch, "--json")).GetProperty("state").GetString()
        );
        WeightPatch.Apply(patch, original, _folder.At("applied"), RunContext.Quiet);
        Assert.Equal(ContentHash.OfModel(model).Sha256, ContentHash.OfModel(_folder.At("applied")).Sha256);

        // Reverting takes the run's card away again.
        WeightPatch.Revert(patch, model, _folder.At("reverted"), RunContext.Quiet);
        static IEnumerable<string> Names(string folder) =>
            Directory.EnumerateFiles(folder).Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal);
        Assert.Equal(Names(original), Names(_folder.At("reverted")));
        Assert.Equal(ContentHash.OfModel(original).Sha256, ContentHash.OfModel(_folder.At("reverted")).Sha256);
    }

    [Fact]
    public void Unlearn_WithAnAdapterResumed_GoesOnWithTheSameOriginal()
    {
        var (model, adapter) = Adapted();
        var config = Config(model, adapter);
        UnlearnRun.Execute(config, _folder.At("whole"), resume: false, RunContext.Quiet, NamedModel.Write);
        void Cut(string name)
        {
            using var source = new CancellationTokenSource();
            var context = RunContext.Quiet with { Log = new StopAtStep(2, source), Cancellation = source.Token };
            Assert.Throws<OperationCanceledException>(() =>
                UnlearnRun.Execute(config, _folder.At(name), resume: false, context, NamedModel.Write)
            );
        }

        Cut("cut");
        UnlearnRun.Execute(config, _folder.At("cut"), resume: true, RunContext.Quiet, NamedModel.Write);
        Assert.Equal(ContentHash.OfModel(_folder.At("whole", "model")).Sha256, ContentHash.OfModel(_folder.At("cut", "model")).Sha256);

        AdapterMerge.Execute(model, adapter, _folder.At("merged"), "auto", RunContext.Quiet);
        Assert.Equal(ContentHash.OfModel(_folder.At("merged")).Sha256, ContentHash.OfModel(_folder.At("whole", "original")).Sha256);

        Cut("changed");
        var other = TinyAdapter.Usual();
        other.Add("model.layers.0.mlp.down_proj.lora_A.weight", 2, 24);
        other.Write(adapter);
        var error = Assert.Throws<UserInputException>(() =>
            UnlearnRun.Execute(config, _folder.At("changed"), resume: true, RunContext.Quiet, NamedModel.Write)
        );
        Assert.Contains(
            "adapter_model.safetensors: it is not the file that the interrupted run began with",
            error.Message,
            StringComparison.Ordinal
        );
    }

    [Fact]
    public void Unlearn_WithoutAWriter_RefusesWhatIsNoDirectory()
    {
        var (model, adapter) = Adapted();
        var error = Assert.Throws<UserInputException>(() =>
            UnlearnRun.Execute(Config(model, adapter), _folder.At("run"), resume: false, RunContext.Quiet)
        );
        Assert.Contains("NamedModel.Write", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void CommandLine_UnlearnWithAnAdapter_WritesTheRun()
    {
        var (model, adapter) = Adapted();
        var config = Config(model, adapter);
        var run = CommandRun.Of(
            "unlearn",
            "--model",
            model,
            "--adapter",
            adapter,
            "--forget",
            config.Data.Forget[0],
            "--retain",
            config.Data.Retain[0],
            "--layer",
            "1",
            "--set",
            "steps=2",
            "--out",
            _folder.At("run"),
            "--device",
            "cpu"
        );
        Assert.True(run.ExitCode == 0, string.Join('\n', run.Errors));
        Assert.Contains(run.Errors, line => line.Contains("merged into", StringComparison.Ordinal));
        using var checkpoint = Checkpoint.Open(_folder.At("run", "original"));
        Assert.Contains("\"adapter\"", File.ReadAllText(_folder.At("run", "config.json")), StringComparison.Ordinal);
        Assert.False(Directory.Exists(_folder.At("run", "imported")));
    }
}
