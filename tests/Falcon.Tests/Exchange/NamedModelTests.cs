using System.Text.Json;
using Falcon.Exchange;
using Falcon.Exchange.Adapters;
using Falcon.Reporting;
using Falcon.Results;
using Falcon.Runtime;
using Falcon.Tests.Attacks.Protocol;
using Falcon.Tests.Cli;
using Falcon.Tests.Exchange.Adapters;

namespace Falcon.Tests.Exchange;

/// <summary>Models that are no directory as they stand: GGUF files, and bases with an adapter, in the verbs.</summary>
public sealed class NamedModelTests : IDisposable
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

    [Fact]
    public void Open_MakesAScratchDirectory_ThatGoesWithTheObject()
    {
        var (model, adapter) = Adapted();
        string made;
        using (var named = NamedModel.Open(model, adapter, RunContext.Quiet))
        {
            made = named.Directory;
            Assert.NotEqual(ContentHash.OfModel(model).Sha256, ContentHash.OfModel(made).Sha256);
            Assert.Equal((model, adapter), (ModelSource.Of(made)!.Model, ModelSource.Of(made)!.Adapter));
        }

        Assert.False(Directory.Exists(Path.GetDirectoryName(made)));
        using var itself = NamedModel.Open(model, null, RunContext.Quiet);
        Assert.Equal(model, itself.Directory);
    }

    [Fact]
    public void Open_FileThatIsNoModel_IsRefusedByName()
    {
        var (model, adapter) = Adapted();
        File.WriteAllText(_folder.At("notes.txt"), "no model");
        var run = CommandRun.Of("inspect", "--model", _folder.At("notes.txt"), "--adapter", adapter);
        Assert.Equal(2, run.ExitCode);
        Assert.Contains("notes.txt", run.Errors[^1], StringComparison.Ordinal);
        Assert.Contains(
            "no such directory",
            CommandRun.Of("inspect", "--model", model, "--adapter", _folder.At("none")).Errors[^1],
            StringComparison.Ordinal
        );
    }

    [Fact]
    public void Verbs_OnAGgufFile_RecordItAsNamedWithItsHash()
    {
        var file = Gguf();
        var inspected = Json(CommandRun.Of("inspect", "--model", file, "--json"));
        Assert.Equal(file, inspected.GetProperty("model").GetString());
        Assert.Equal(ContentHash.OfFile(file), inspected.GetProperty("source").GetProperty("files")[0].GetProperty("sha256").GetString());

        var generated = Json(
            CommandRun.Of(
                "generate",
                "--model",
                file,
                "--compare",
                file,
                "--prompt",
                "a b",
                "--max-tokens",
                "3",
                "--device",
                "cpu",
                "--json"
            )
        );
        Assert.Equal([file, file], generated.GetProperty("texts").EnumerateArray().Select(text => text.GetProperty("model").GetString()));

        File.WriteAllLines(_folder.At("texts.txt"), ["one two three", "four five"]);
        var evaluated = Json(
            CommandRun.Of(
                "evaluate",
                "--model",
                file,
                "--reference",
                file,
                "--suite",
                "perplexity",
                "--data",
                _folder.At("texts.txt"),
                "--out",
                _folder.At("ppl.json"),
                "--device",
                "cpu",
                "--json"
            )
        );
        Assert.Equal(file, evaluated.GetProperty("model").GetProperty("path").GetString());
        Assert.Equal(file, evaluated.GetProperty("reference").GetProperty("path").GetString());
        Assert.Matches(
            "token before the first of each text is the tokenizer's (begin|end) token",
            evaluated.GetProperty("notes")[0].GetString()
        );
        Assert.Contains("\"notes\"", File.ReadAllText(_folder.At("ppl.json")), StringComparison.Ordinal);
    }

    [Fact]
    public void Verbs_WithAnAdapter_MeasureTheMergedModel()
    {
        var (model, adapter) = Adapted();
        AdapterMerge.Execute(model, adapter, _folder.At("merged"), "float32", RunContext.Quiet);
        File.WriteAllLines(_folder.At("texts.txt"), ["one two three", "four five"]);
        double Perplexity(string directory, params string[] more)
        {
            var result = Json(
                CommandRun.Of([
                    "evaluate",
                    "--model",
                    directory,
                    .. more,
                    "--suite",
                    "perplexity",
                    "--data",
                    _folder.At("texts.txt"),
                    "--out",
                    _folder.At(Guid.NewGuid() + ".json"),
                    "--device",
                    "cpu",
                    "--dtype",
                    "float32",
                    "--json",
                ])
            );
            Assert.Equal(directory, result.GetProperty("model").GetProperty("path").GetString());
            Assert.Equal(more.Length > 0, result.GetProperty("model").TryGetProperty("source", out _));
            return result.GetProperty("metrics").GetProperty("word_perplexity").GetProperty("value").GetDouble();
        }

        Assert.Equal(Perplexity(_folder.At("merged")), Perplexity(model, "--adapter", adapter));
        Assert.NotEqual(Perplexity(_folder.At("merged")), Perplexity(model));
        var layers = CommandRun.Of(
            "analyze",
            "--model",
            model,
            "--adapter",
            adapter,
            "--forget",
            TinyCheckpoint.Questions(_folder.At("f.jsonl"), "a"),
            "--retain",
            TinyCheckpoint.Questions(_folder.At("r.jsonl"), "b"),
            "--samples",
            "8",
            "--out",
            _folder.At("layers"),
            "--device",
            "cpu"
        );
        Assert.True(layers.ExitCode == 0, string.Join('\n', layers.Errors));
        Assert.Contains(RunFiles.ReadRecord(_folder.At("layers")).Files, one =>
            one.Sha256 == ContentHash.OfFile(Path.Combine(adapter, "adapter_model.safetensors"))
        );
        using var config = JsonDocument.Parse(File.ReadAllText(_folder.At("layers", "config.json")));
        Assert.Equal(adapter, config.RootElement.GetProperty("adapter").GetString());
    }

    [Fact]
    public void Attack_WithAnAdapter_RecordsTheModelsAsNamed()
    {
        var (model, adapter) = Adapted();
        var run = CommandRun.Of(
            "attack",
            "--model",
            model,
            "--adapter",
            adapter,
            "--original",
            model,
            "--data",
            PlaceQuestions.Write(_folder.At("questions.jsonl"), PlaceQuestions.Subjects),
            "--attacks",
            "prefilling",
            "--budget",
            "quick",
            "--out",
            _folder.At("attacks"),
            "--device",
            "cpu",
            "--json"
        );
        var models = Json(run).GetProperty("models");
        Assert.Equal(model, models.GetProperty("unlearned").GetProperty("path").GetString());
        Assert.Equal(adapter, models.GetProperty("unlearned").GetProperty("source").GetProperty("adapter").GetString());
        Assert.False(models.GetProperty("original").TryGetProperty("source", out _));
    }
}
