using Falcon.Checkpoints;
using Falcon.Exchange.Gguf;
using Falcon.Models;
using Falcon.Runtime;
using Falcon.Tokenization;
using static TorchSharp.torch;

namespace Falcon.Tests.Exchange.Gguf;

/// <summary>An exported model, imported again, is the model that was exported.</summary>
public sealed class GgufExportTests : IDisposable
{
    // TinyFamily's template in Go's language.
    private const string Translated =
        "{{ $before := \"\" }}{{ range .Messages }}{{ if eq .Role \"system\" }}<|system|>\n{{ .Content }}"
        + "{{ else if eq .Role \"assistant\" }}<|end|>\n<|assistant|>\n{{ .Content }}"
        + "{{ else }}{{ if eq $before \"\" }}<|user|>\n{{ else if eq $before \"system\" }}<|end|>\n<|user|>\n"
        + "{{ else }}<|end|>\n<|user|>\n{{ end }}{{ .Content }}{{ end }}{{ $before = .Role }}{{ end }}"
        + "{{ if ne $before \"assistant\" }}<|end|>\n<|assistant|>\n{{ end }}";

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    public static TheoryData<string> Kinds() => [.. TinyFamily.Names];

    [Theory]
    [MemberData(nameof(Kinds))]
    public void ExportThenImport_Float32_GivesTheSameBits(string name)
    {
        var origin = TinyFamily.Write(_folder.At("model"), name);
        GgufExport.Execute(origin, "f32", _folder.At("model.gguf"), RunContext.Quiet);
        GgufImport.Execute(_folder.At("model.gguf"), _folder.At("again"), "float32", RunContext.Quiet);
        RequireSameWeights(origin, _folder.At("again"), isFloat32: true);
        RequireSameTokens(origin, _folder.At("again"));
        RequireSameLogits(origin, _folder.At("again"));
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void ExportThenImport_Bfloat16_GivesTheSameBits(string name)
    {
        var origin = TinyFamily.Write(_folder.At("model"), name, dtype: ScalarType.BFloat16);
        GgufExport.Execute(origin, "bf16", _folder.At("model.gguf"), RunContext.Quiet);
        GgufImport.Execute(_folder.At("model.gguf"), _folder.At("again"), "bfloat16", RunContext.Quiet);
        RequireSameWeights(origin, _folder.At("again"), isFloat32: false);
    }

    [Fact]
    public void Export_IntoAFolder_WritesFileAndModelfileAndNothingElse()
    {
        var origin = TinyFamily.Write(_folder.At("model"), "qwen2");
        File.WriteAllText(Path.Combine(origin, "generation_config.json"), """{"eos_token_id": [596, 601]}""");
        var result = GgufExport.Execute(origin, "q8_0", _folder.At("out", "tiny.gguf"), RunContext.Quiet);
        Assert.Equal(
            ["Modelfile", "tiny.gguf"],
            Directory.EnumerateFileSystemEntries(_folder.At("out")).Select(Path.GetFileName).Order(StringComparer.Ordinal)
        );
        Assert.Equal(["<|endoftext|>", "<|end|>", "<|pad|>"], result.Stops); // end token, turn end, generation_config.json
        Assert.Equal(ContentHash.OfFile(result.File), result.Sha256);
        var lines = File.ReadAllLines(result.Modelfile);
        Assert.Contains("FROM ./tiny.gguf", lines);
        foreach (var stop in result.Stops)
            Assert.Contains($"PARAMETER stop \"{stop}\"", lines);
        Assert.Contains($"TEMPLATE \"\"\"{Translated}\"\"\"\n", File.ReadAllText(result.Modelfile), StringComparison.Ordinal);
        using var runner = LlamaRunner.Load(result.File);
        Assert.All(new[] { 596, 598, 601 }, id => Assert.True(runner.IsEnd(id), $"{id}"));
        Assert.False(runner.IsEnd(599));
    }

    [Fact]
    public void Export_Interrupted_LeavesNothing()
    {
        var origin = TinyFamily.Write(_folder.At("model"), "llama");
        var context = RunContext.Quiet with { Cancellation = new CancellationToken(canceled: true) };
        Assert.ThrowsAny<OperationCanceledException>(() => GgufExport.Execute(origin, "f16", _folder.At("out", "a.gguf"), context));
        Assert.Empty(Directory.EnumerateFileSystemEntries(_folder.At("out")));
    }

    [Fact]
    public void Export_OverAModelfileOfOnesOwn_IsRefused()
    {
        var origin = TinyFamily.Write(_folder.At("model"), "llama");
        File.WriteAllText(_folder.At("Modelfile"), "FROM mine\n");
        var error = Assert.Throws<UserInputException>(() => GgufExport.Execute(origin, "f16", _folder.At("a.gguf"), RunContext.Quiet));
        Assert.Contains("Modelfile", error.Message, StringComparison.Ordinal);
        Assert.Equal("FROM mine\n", File.ReadAllText(_folder.At("Modelfile")));
    }

    // A norm of Gemma is stored as 1 + weight, which rounds a float32 weight.
    private static void RequireSameWeights(string origin, string again, bool isFloat32)
    {
        using var scope = NewDisposeScope();
        using var before = Checkpoint.Open(origin);
        using var after = Checkpoint.Open(again);
        var isRounded = isFloat32 && before.Config.ModelType.StartsWith("gemma", StringComparison.Ordinal);
        Assert.Equal(before.Config.TiedEmbeddings, after.Config.TiedEmbeddings);
        foreach (var (name, shape) in WeightNames.Expected(before.Config))
        {
            var (one, other) = (before.LoadStored(name), after.LoadStored(name));
            Assert.Equal(one.dtype, other.dtype);
            if (isRounded && shape.Length == 1)
                Assert.True((one - other).abs().max().item<float>() < 1e-7f, name);
            else
                Assert.True(one.Equals(other), name);
        }
    }

    private static void RequireSameTokens(string origin, string again)
    {
        var (before, after) = (HfTokenizer.Load(origin), HfTokenizer.Load(again));
        Assert.Equal((before.BosId, before.EosId, before.ChatTemplate), (after.BosId, after.EosId, after.ChatTemplate));
        foreach (var text in new[] { "", "a  12", " The  river\n\n3,456 ", "<|end|> x</s> y", "naïve café — 日本 \u0004", "it's\tHE'LL" })
        {
            Assert.Equal(before.Encode(text), after.Encode(text));
            Assert.Equal(before.Decode(before.Encode(text)), after.Decode(after.Encode(text)));
        }
    }

    private static void RequireSameLogits(string origin, string again)
    {
        using var scope = NewDisposeScope();
        using var guard = no_grad();
        Tensor Logits(string directory)
        {
            using var checkpoint = Checkpoint.Open(directory);
            using var weights = checkpoint.LoadWeights(float32, CPU);
            var model = new CausalLM(checkpoint.Config, weights);
            var tokens = new TokenBatch(
                [
                    [.. Enumerable.Range(0, 140).Select(i => i * 37 % 590)],
                ],
                0
            );
            using var context = tokens.Context(model);
            return model.Logits(tokens.InputIds(CPU), context);
        }

        GoldenCases.CloseRelative(Logits(origin), Logits(again), 1e-5, "logits");
    }
}
