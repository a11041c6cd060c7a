using System.Text.Json.Nodes;
using Falcon.Checkpoints.Safetensors;
using Falcon.Exchange.Gguf;
using Falcon.Runtime;

namespace Falcon.Tests.Exchange.Gguf;

/// <summary>Models that llama.cpp would run otherwise are not exported, and the message says why.</summary>
public sealed class GgufRefusalTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("llama", "hidden_act", "\"gelu\"", "SiLU")]
    [InlineData("mistral", "sliding_window", "32", "sliding window")]
    [InlineData("phi3", "sliding_window", "32", "sliding window")]
    [InlineData("qwen2", "head_dim", "24", "head_dim")]
    [InlineData("qwen3", "attention_bias", "true", "attention_bias")]
    [InlineData("gemma2", "query_pre_attn_scalar", "64", "root of 64")]
    [InlineData("gemma2", "attn_logit_softcapping", "null", "soft cap")]
    [InlineData("gemma2", "layer_types", "[\"sliding_attention\", \"sliding_attention\", \"full_attention\"]", "layer 1")]
    [InlineData("gemma3", "sliding_window_pattern", "3", "layer 2")]
    [InlineData("gemma3", "final_logit_softcapping", "20", "soft cap")]
    [InlineData("gemma2", "tie_word_embeddings", "false", "tie_word_embeddings")]
    [InlineData("smollm3", "no_rope_layers", "[1, 0, 1, 0, 1]", "does not rotate")]
    [InlineData("gpt2", "scale_attn_by_inverse_layer_idx", "true", "scale_attn_by_inverse_layer_idx")]
    [InlineData("gpt_neox", "attention_bias", "false", "attention_bias")]
    [InlineData("qwen2", "rope_scaling", """{"rope_type": "dynamic", "factor": 2.0}""", "dynamic")]
    [InlineData("llama", "rope_scaling", """{"rope_type": "yarn", "factor": 2.0, "attention_factor": 0.7}""", "attention_factor")]
    [InlineData(
        "qwen3",
        "rope_scaling",
        """
            {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}
            """,
        "llama3"
    )]
    public void Export_ConfigurationThatTheRunnerLacks_IsRefused(string name, string key, string value, string named)
    {
        var model = TinyFamily.Write(_folder.At("model"), name, config => config[key] = JsonNode.Parse(value));
        var message = Refused(model);
        Assert.Contains(Path.Combine(model, "config.json"), message, StringComparison.Ordinal);
        Assert.Contains(named, message, StringComparison.Ordinal);
    }

    public static TheoryData<string, string, string> Tokenizers() =>
        new()
        {
            { "llama", """{"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": true, "use_regex": true}}""", "no name" },
            {
                "llama",
                """
                    {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"Regex": "\\p{N}{1,2}"},
                     "behavior": "Isolated", "invert": false}, {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true}]}}
                    """,
                "no name"
            },
            { "llama", """{"pre_tokenizer": null}""", "no pre_tokenizer" },
            { "llama", """{"normalizer": {"type": "Lowercase"}}""", "Lowercase" },
            { "mistral", """{"normalizer": {"type": "NFKC"}}""", "normalizer" },
            {
                "mistral",
                """
                    {"normalizer": null, "pre_tokenizer":
                    {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true}}
                    """,
                "pre_tokenizer"
            },
        };

    [Theory]
    [MemberData(nameof(Tokenizers))]
    public void Export_TokenizerThatTheRunnerReadsOtherwise_IsRefused(string name, string change, string named)
    {
        var model = TinyFamily.Write(_folder.At("model"), name);
        Edit(model, tokenizer =>
        {
            foreach (var (key, value) in JsonNode.Parse(change)!.AsObject())
                tokenizer[key] = value?.DeepClone();
        });
        Assert.Contains(named, Refused(model), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("lstrip")]
    [InlineData("single_word")]
    [InlineData("rstrip")]
    public void Export_AddedTokenThatTakesMoreThanItsText_IsRefused(string flag)
    {
        var model = TinyFamily.Write(_folder.At("model"), "llama");
        Edit(model, tokenizer => tokenizer["added_tokens"]![2]![flag] = true);
        var message = Refused(model);
        Assert.Contains(flag, message, StringComparison.Ordinal);
        Assert.Contains("the added token '<|", message, StringComparison.Ordinal);
    }

    [Fact]
    public void Export_MergesWithoutAnOrderOfPieces_IsRefused()
    {
        var model = TinyFamily.Write(_folder.At("model"), "mistral");
        Edit(model, tokenizer => tokenizer["model"]!["merges"]!.AsArray().RemoveAt(3));
        Assert.Contains("are not merged although", Refused(model), StringComparison.Ordinal);
    }

    [Fact]
    public void Export_TokenizerWithMoreTokensThanRows_IsRefused()
    {
        var model = TinyFamily.Write(_folder.At("model"), "llama", config => config["vocab_size"] = 600);
        Assert.Contains("600 rows", Refused(model), StringComparison.Ordinal);
    }

    [Fact]
    public void Export_TokenNamedLikeAPaddingRow_IsRefused()
    {
        var model = TinyFamily.Write(_folder.At("model"), "llama");
        Edit(model, tokenizer => tokenizer["added_tokens"]![5]!["content"] = "[PAD605]");
        Assert.Contains("[PAD605]", Refused(model), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("model.layers.0.mlp.down_proj.SCB")]
    [InlineData("model.layers.0.mlp.down_proj.weight.absmax")]
    [InlineData("model.layers.0.mlp.down_proj.weight.quant_state.bitsandbytes__nf4")]
    public void Export_LeftoverOfQuantisedWeights_IsRefusedByName(string tensor)
    {
        var model = TinyFamily.Write(_folder.At("model"), "llama");
        var path = Path.Combine(model, "model.safetensors");
        List<SafetensorsSource> sources = [new(tensor, "F32", [1], stream => stream.Write(new byte[4]))];
        using (var file = SafetensorsFile.Open(path))
        {
            sources.AddRange(
                file.Entries.Select(entry => new SafetensorsSource(entry.Name, entry.DType, entry.Shape, stream =>
                    file.CopyTo(entry, stream)
                ))
            );
            SafetensorsWriter.Write(path + ".new", sources);
        }

        File.Move(path + ".new", path, overwrite: true);
        var message = Refused(model);
        Assert.Contains(tensor, message, StringComparison.Ordinal);
        Assert.Contains("quantised", message, StringComparison.Ordinal);
    }

    [Fact]
    public void Export_ToANameWithoutTheEnding_IsRefused() =>
        Assert.Contains(
            ".gguf",
            Assert
                .Throws<UserInputException>(() =>
                    GgufExport.Execute(TinyFamily.Write(_folder.At("model"), "llama"), "f16", _folder.At("a.bin"), RunContext.Quiet)
                )
                .Message,
            StringComparison.Ordinal
        );

    private string Refused(string model)
    {
        var error = Assert.Throws<UnsupportedCheckpointException>(() =>
            GgufExport.Execute(model, "f16", _folder.At("out", "a.gguf"), RunContext.Quiet)
        );
        Assert.False(Directory.Exists(_folder.At("out")));
        return error.Message;
    }

    private static void Edit(string model, Action<JsonObject> change)
    {
        var path = Path.Combine(model, "tokenizer.json");
        var tokenizer = JsonNode.Parse(File.ReadAllText(path))!.AsObject();
        change(tokenizer);
        File.WriteAllText(path, tokenizer.ToJsonString());
    }
}
