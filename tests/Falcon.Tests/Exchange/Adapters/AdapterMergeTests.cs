using System.Text.Json.Nodes;
using Falcon.Checkpoints;
using Falcon.Checkpoints.Safetensors;
using Falcon.Exchange.Adapters;
using Falcon.Runtime;
using Falcon.Tests.Cli;
using static TorchSharp.torch;

namespace Falcon.Tests.Exchange.Adapters;

/// <summary>Merged matrices against sums by loops, and which modules a configuration means.</summary>
public sealed class AdapterMergeTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    // W + scale B A, element by element.
    private static void AssertSum(WeightFiles before, WeightFiles after, TinyAdapter adapter, string module, double scale)
    {
        using var scope = NewDisposeScope();
        var (w, merged, product) = (Values(before, module + ".weight"), Values(after, module + ".weight"), adapter.Product(module));
        for (var o = 0; o < product.GetLength(0); o++)
            for (var i = 0; i < product.GetLength(1); i++)
                Assert.Equal(w[(o * product.GetLength(1)) + i] + (scale * product[o, i]), merged[(o * product.GetLength(1)) + i], 1e-6);
    }

    private static float[] Values(WeightFiles files, string name)
    {
        var (file, entry) = files.Locate(name);
        using var tensor = TensorBytes.ToTensor(file, entry);
        using var single = tensor.to(float32);
        return single.data<float>().ToArray();
    }

    private static List<string> Changed(WeightFiles before, WeightFiles after) =>
        [
            .. before
                .Names.Where(name => !Values(before, name).SequenceEqual(Values(after, name)))
                .Select(name => name[..^".weight".Length])
                .Order(StringComparer.Ordinal),
        ];

    private (WeightFiles Before, WeightFiles After) Merge(TinyAdapter adapter, int shards = 1, bool tied = true)
    {
        var model = TinyCheckpoint.Write(_folder.At("base"), float32, shards, tied);
        AdapterMerge.Execute(model, adapter.Write(_folder.At("adapter")), _folder.At("merged"), "auto", RunContext.Quiet);
        return (WeightFiles.Open(model), WeightFiles.Open(_folder.At("merged")));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void Merge_FirstPatternThatFits_GivesRankAndAlpha(int shards)
    {
        var adapter = TinyAdapter.Usual();
        adapter.AddFactors("model.layers.1.self_attn.q_proj", 3, 16, 16);
        adapter.Config["rank_pattern"] = new JsonObject { [@"layers\.1\.self_attn\.q_proj"] = 3, ["q_proj"] = 2 };
        adapter.Config["alpha_pattern"] = new JsonObject { ["^model.layers.[02].mlp.down_proj"] = 1, ["(?:down_proj|up_proj)"] = 6.5 };

        var (before, after) = Merge(adapter, shards);
        using var one = before;
        using var two = after;

        AssertSum(before, after, adapter, "model.layers.0.self_attn.q_proj", 4 / 2.0);
        AssertSum(before, after, adapter, "model.layers.1.self_attn.q_proj", 4 / 3.0);
        AssertSum(before, after, adapter, "model.layers.2.mlp.down_proj", 1 / 2.0);
        AssertSum(before, after, adapter, "model.layers.3.mlp.down_proj", 6.5 / 2);
        Assert.Equal(8, Changed(before, after).Count);
        Assert.Equal(
            File.Exists(_folder.At("base", "model.safetensors.index.json")),
            File.Exists(_folder.At("merged", "model.safetensors.index.json"))
        );
        Assert.Equal("of the test\n", File.ReadAllText(_folder.At("merged", "LICENSE")));
        Assert.Contains(
            ContentHash.OfFile(_folder.At("adapter", "adapter_model.safetensors")),
            File.ReadAllText(_folder.At("merged", "README.md")),
            StringComparison.Ordinal
        );
    }

    [Theory]
    [InlineData("""{"target_modules": ["q_proj", "down_proj"], "layers_to_transform": 1}""", "1.mlp.down_proj 1.self_attn.q_proj")]
    [InlineData(
        """{"target_modules": ["q_proj"], "layers_to_transform": [0, 3], "layers_pattern": "layers"}""",
        "0.self_attn.q_proj 3.self_attn.q_proj"
    )]
    [InlineData(
        """{"target_modules": ["q_proj", "down_proj"], "exclude_modules": ".*layers.[0-2]..*"}""",
        "3.mlp.down_proj 3.self_attn.q_proj"
    )]
    [InlineData(
        """{"target_modules": ["q_proj", "down_proj"], "exclude_modules": ["mlp.down_proj", "model.layers.0.self_attn.q_proj"]}""",
        "1.self_attn.q_proj 2.self_attn.q_proj 3.self_attn.q_proj"
    )]
    [InlineData(
        """{"target_modules": "model\\.layers\\.(?P<n>\\d{,1})\\.self_attn\\.q_proj"}""",
        "0.self_attn.q_proj 1.self_attn.q_proj 2.self_attn.q_proj 3.self_attn.q_proj"
    )]
    [InlineData("""{"target_modules": ["layers.2.mlp.down_proj"], "use_rslora": true}""", "2.mlp.down_proj")]
    public void Merge_ModulesThatTheConfigurationMeans_AndNoOthersChange(string keys, string expected)
    {
        var adapter = new TinyAdapter();
        foreach (var (key, value) in JsonNode.Parse(keys)!.AsObject())
            adapter.Config[key] = value?.DeepClone();
        foreach (var module in expected.Split(' '))
            adapter.AddFactors("model.layers." + module, 2, 16, module.EndsWith("q_proj", StringComparison.Ordinal) ? 16 : 24);

        var (before, after) = Merge(adapter);
        using var one = before;
        using var two = after;

        Assert.Equal(expected.Split(' ').Select(module => "model.layers." + module), Changed(before, after));
        var scale = keys.Contains("rslora", StringComparison.Ordinal) ? 4 / Math.Sqrt(2) : 2;
        AssertSum(before, after, adapter, "model.layers." + expected.Split(' ')[0], scale);
    }

    [Fact]
    public void Merge_AllLinear_MeansEveryMatrixButTheHead()
    {
        var adapter = new TinyAdapter();
        adapter.Config["target_modules"] = "all-linear";
        for (var layer = 0; layer < TinyCheckpoint.Layers; layer++)
            foreach (
                var (module, outputs, inputs) in new[]
                {
                    ("self_attn.q_proj", 16, 16),
                    ("self_attn.k_proj", 8, 16),
                    ("self_attn.v_proj", 8, 16),
                    ("self_attn.o_proj", 16, 16),
                    ("mlp.gate_proj", 24, 16),
                    ("mlp.up_proj", 24, 16),
                    ("mlp.down_proj", 16, 24),
                }
            )
                adapter.AddFactors($"model.layers.{layer}.{module}", 2, outputs, inputs);

        var (before, after) = Merge(adapter, tied: false);
        using var one = before;
        using var two = after;

        Assert.Equal(7 * TinyCheckpoint.Layers, Changed(before, after).Count);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void Merge_HeadOfTiedEmbeddings_GetsWeightsOfItsOwn(int shards)
    {
        var adapter = new TinyAdapter();
        adapter.Config["target_modules"] = new JsonArray("lm_head");
        adapter.AddFactors("lm_head", 2, 257, 16);

        var (before, after) = Merge(adapter, shards);
        using var one = before;
        using var two = after;

        Assert.Empty(Changed(before, after));
        var (embedding, head, product) = (
            Values(before, "model.embed_tokens.weight"),
            Values(after, "lm_head.weight"),
            adapter.Product("lm_head")
        );
        for (var i = 0; i < head.Length; i++)
            Assert.Equal(embedding[i] + (2 * product[i / 16, i % 16]), head[i], 1e-6);
        using var checkpoint = Checkpoint.Open(_folder.At("merged"));
        Assert.False(checkpoint.Config.TiedEmbeddings);
    }

    [Fact]
    public void Merge_EmbeddingWithEnsuredTying_ChangesBoth()
    {
        var adapter = new TinyAdapter();
        adapter.Config["target_modules"] = new JsonArray("embed_tokens");
        adapter.Config["ensure_weight_tying"] = true;
        adapter.Add("model.embed_tokens.lora_embedding_A", 2, 257);
        adapter.Add("model.embed_tokens.lora_embedding_B", 16, 2);

        var (before, after) = Merge(adapter);
        using var one = before;
        using var two = after;

        Assert.Equal(["model.embed_tokens"], Changed(before, after));
        using var checkpoint = Checkpoint.Open(_folder.At("merged"));
        Assert.True(checkpoint.Config.TiedEmbeddings);
    }

    [Fact]
    public void Merge_SavedModulesByTheEndOfTheirPath_AreTakenWhole()
    {
        var adapter = TinyAdapter.Usual();
        adapter.Config["modules_to_save"] = new JsonArray("norm"); // ends model.norm and every ..._layernorm
        foreach (var name in new[] { "input_layernorm", "post_attention_layernorm" })
            for (var layer = 0; layer < TinyCheckpoint.Layers; layer++)
                adapter.Add($"model.layers.{layer}.{name}.weight", 16);
        adapter.Add("model.norm.weight", 16);

        var (before, after) = Merge(adapter);
        using var one = before;
        using var two = after;

        Assert.Equal(8 + 9, Changed(before, after).Count);
        Assert.Equal(adapter.Tensors["model.norm.weight"].Values, Values(after, "model.norm.weight"));
    }

    [Fact]
    public void Merge_OfHalfPrecision_KeepsTheTypesOrTakesTheOneNamed()
    {
        var model = TinyCheckpoint.Write(_folder.At("base"), ScalarType.BFloat16, shards: 2);
        var adapter = TinyAdapter.Usual().Write(_folder.At("adapter"));
        foreach (var (dtype, expected) in new[] { ("auto", "BF16"), ("float32", "F32"), ("float16", "F16") })
        {
            AdapterMerge.Execute(model, adapter, _folder.At(dtype), dtype, RunContext.Quiet);
            using var files = WeightFiles.Open(_folder.At(dtype));
            Assert.All(files.Names, name => Assert.Equal(expected, files.Locate(name).Entry.DType));
        }
    }

    [Fact]
    public void Merge_KeepsNoTensor()
    {
        var model = TinyCheckpoint.Write(_folder.At("base"));
        var adapter = TinyAdapter.Usual().Write(_folder.At("adapter"));
        var round = 0;
        TensorLeaks.Check(0, _ => AdapterMerge.Execute(model, adapter, _folder.At($"merged-{round++}"), "auto", RunContext.Quiet));
    }

    [Fact]
    public void Merge_Interrupted_LeavesNothing()
    {
        var model = TinyCheckpoint.Write(_folder.At("base"));
        var adapter = TinyAdapter.Usual().Write(_folder.At("adapter"));
        var run = CommandRun.Of(
            new StringWriter(),
            TimeProvider.System,
            new CancellationToken(true),
            "export",
            "merged",
            "--model",
            model,
            "--adapter",
            adapter,
            "--out",
            _folder.At("merged")
        );
        Assert.Equal(130, run.ExitCode);
        Assert.False(Directory.Exists(_folder.At("merged")) || Directory.Exists(_folder.At("merged.partial")));
    }
}
