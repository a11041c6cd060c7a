using System.Text.Json;
using Falcon.Runtime;

namespace Falcon.Tests.Cli;

/// <summary>inspect, generate and analyze on a tiny model directory.</summary>
public sealed class ModelVerbsTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly string _model;

    public ModelVerbsTests() => _model = TinyCheckpoint.Write(_folder.At("model"));

    public void Dispose() => _folder.Dispose();

    private static JsonElement Json(CommandRun run)
    {
        Assert.True(run.ExitCode == 0, string.Join('\n', run.Errors));
        return JsonDocument.Parse(run.Output).RootElement;
    }

    [Fact]
    public void Inspect_Json_CountsEveryPart()
    {
        var result = Json(CommandRun.Of("inspect", "--model", _model, "--json"));

        // By hand: 257 x 16; a layer: q and o 16 x 16, k and v 8 x 16, three MLP matrices 24 x 16, two norms of 16; one norm more at the
        // end.
        var parts = result.GetProperty("parts");
        Assert.Equal(257 * 16, parts.GetProperty("embedding").GetInt64());
        Assert.Equal(4 * 768, parts.GetProperty("attention").GetInt64());
        Assert.Equal(4 * 1152, parts.GetProperty("mlp").GetInt64());
        Assert.Equal(9 * 16, parts.GetProperty("norms").GetInt64());
        Assert.Equal(4112 + 3072 + 4608 + 144, result.GetProperty("parameters").GetInt64());
        Assert.Equal("llama", result.GetProperty("architecture").GetString());
        Assert.Equal(ContentHash.OfFile(Path.Combine(_model, "model.safetensors")), result.GetProperty("sha256").GetString());
        Assert.Equal((4 * 9) + 2, result.GetProperty("tensors").GetArrayLength());
        var tokenizer = result.GetProperty("tokenizer");
        Assert.Equal(257, tokenizer.GetProperty("vocabularySize").GetInt32());
        Assert.Equal("<|end|>", tokenizer.GetProperty("eos").GetProperty("token").GetString());
        Assert.Equal(JsonValueKind.Null, tokenizer.GetProperty("bos").ValueKind);
        Assert.False(tokenizer.GetProperty("hasChatTemplate").GetBoolean());
    }

    [Fact]
    public void Inspect_WithoutTokenizer_SaysSo()
    {
        File.Delete(Path.Combine(_model, "tokenizer.json"));
        var run = CommandRun.Of("inspect", "--model", _model);
        Assert.Equal(0, run.ExitCode);
        Assert.Contains("no tokenizer.json or tokenizer.model", run.Output, StringComparison.Ordinal);
        Assert.Empty(run.Errors);
    }

    [Fact]
    public void Generate_OneModel_PrintsPromptAndContinuation()
    {
        var result = Json(
            CommandRun.Of("generate", "--model", _model, "--prompt", "What is", "--max-tokens", "5", "--device", "cpu", "--json")
        );
        var text = result.GetProperty("texts")[0];
        Assert.InRange(text.GetProperty("tokens").GetArrayLength(), 0, 5);
        Assert.Equal(
            text.GetProperty("tokens").EnumerateArray().Select(id => id.GetInt32()),
            result.GetProperty("tokens").EnumerateArray().Select(id => id.GetInt32())
        );
        Assert.Equal(text.GetProperty("tokens").GetArrayLength() < 5 ? "end token" : "length", result.GetProperty("stop").GetString());

        var run = CommandRun.Of("generate", "--model", _model, "--prompt", "What is", "--max-tokens", "5", "--device", "cpu");
        Assert.Equal("What is" + text.GetProperty("text").GetString() + Environment.NewLine, run.Output);
    }

    [Fact]
    public void Generate_Sampled_FollowsTheSeed()
    {
        string Text(string seed) =>
            Json(
                    CommandRun.Of(
                        "generate",
                        "--model",
                        _model,
                        "--prompt",
                        "What is",
                        "--max-tokens",
                        "20",
                        "--temperature",
                        "2",
                        "--seed",
                        seed,
                        "--device",
                        "cpu",
                        "--json"
                    )
                )
                .GetProperty("texts")[0]
                .GetProperty("text")
                .GetString()!;
        Assert.Equal(Text("1"), Text("1"));
        Assert.NotEqual(Text("1"), Text("2"));
    }

    [Fact]
    public void Generate_Compare_ShowsBothModels()
    {
        var run = CommandRun.Of(
            "generate",
            "--model",
            _model,
            "--prompt",
            "What is",
            "--compare",
            TinyCheckpoint.Write(_folder.At("other")),
            "--max-tokens",
            "3",
            "--device",
            "cpu",
            "--json"
        );
        Assert.Equal(
            [_model, _folder.At("other")],
            Json(run).GetProperty("texts").EnumerateArray().Select(text => text.GetProperty("model").GetString())
        );
    }

    [Theory]
    [InlineData("")]
    [InlineData("model")]
    public void Generate_EmptyPromptOrMissingSecondModel_ExitCode2(string missing)
    {
        var run = missing.Length == 0
            ? CommandRun.Of("generate", "--model", _model, "--prompt", "")
            : CommandRun.Of("generate", "--model", _model, "--prompt", "a", "--compare", _folder.At("absent"));
        Assert.Equal(2, run.ExitCode);
        Assert.Contains(missing.Length == 0 ? "--prompt" : "absent", Assert.Single(run.Errors), StringComparison.Ordinal);
        Assert.Empty(run.Output);
    }

    [Fact]
    public void Analyze_TwoLayers_WritesARunDirectory()
    {
        var result = Json(Analyze("--layers", "1-2", "--json"));

        Assert.Equal([1, 2], result.GetProperty("layers").EnumerateArray().Select(layer => layer.GetProperty("layer").GetInt32()));
        Assert.Single(result.GetProperty("layers").EnumerateArray(), layer => layer.GetProperty("selected").GetBoolean());
        Assert.Contains(result.GetProperty("layers").EnumerateArray(), layer => layer.GetProperty("normalized").GetDouble() == 0);
        Assert.Equal(
            ["config.json", "environment.json", "layers.json", "layers.svg", "run.json"],
            Directory.EnumerateFileSystemEntries(_folder.At("out")).Select(Path.GetFileName).Order(StringComparer.Ordinal)
        );
        Assert.StartsWith("<svg", File.ReadAllText(_folder.At("out", "layers.svg")), StringComparison.Ordinal);
        Assert.False(Directory.Exists(_folder.At("out.partial")));
    }

    [Theory]
    [InlineData("--layers", "2-4", "layers 0 to 3")]
    [InlineData("--samples", "7", "at least 8")]
    public void Analyze_WrongSetting_ExitCode2AndNothingLeft(string option, string value, string said)
    {
        var run = Analyze(option, value);
        Assert.Equal(2, run.ExitCode);
        Assert.Contains(said, Assert.Single(run.Errors), StringComparison.Ordinal);
        Assert.False(Directory.Exists(_folder.At("out")) || Directory.Exists(_folder.At("out.partial")));
    }

    private CommandRun Analyze(params string[] more) =>
        CommandRun.Of([
            "analyze",
            "--model",
            _model,
            "--forget",
            TinyCheckpoint.Questions(_folder.At("f.jsonl"), "forgotten", 30),
            "--retain",
            TinyCheckpoint.Questions(_folder.At("r.jsonl"), "kept", 30),
            "--out",
            _folder.At("out"),
            "--device",
            "cpu",
            .. more,
        ]);
}
