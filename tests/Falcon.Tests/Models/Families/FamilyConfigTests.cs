using System.Text.Json.Nodes;
using Falcon.Checkpoints;
using Falcon.Models.Families;
using Falcon.Runtime;

namespace Falcon.Tests.Models.Families;

/// <summary>Keys of config.json: unsupported ones are refused by name, those of published files are read.</summary>
public sealed class FamilyConfigTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    public static TheoryData<string, string, string, string> Refused =>
        new()
        {
            { "Llama 2", "model_type", "\"mixtral\"", "gpt_neox, gpt2" },
            { "Llama 2", "rope_scaling", """{"rope_type": "default", "partial_rotary_factor": 0.5}""", "partial_rotary_factor" },
            {
                "Phi-3.5 (longrope)",
                "rope_scaling",
                """{"rope_type": "longrope", "short_factor": [1.0], "long_factor": [1.0]}""",
                "4 of each"
            },
            { "Phi-3.5 (longrope)", "partial_rotary_factor", "0.4", "even number" },
            {
                "Gemma 3",
                "layer_types",
                """["full_attention", "chunked_attention", "full_attention", "full_attention"]""",
                "chunked_attention"
            },
            { "Gemma 2", "hidden_activation", "\"relu2\"", "gelu_pytorch_tanh" },
            { "SmolLM, SmolLM2", "rope_interleaved", "true", "rope_interleaved" },
            { "Phi-4-mini (partial rotation)", "interpolate_factor", "2", "only 1" },
            { "SmolLM3", "no_rope_layers", "[1, 0]", "2 entries" },
            { "GPT-NeoX, Pythia", "rotary_pct", "0.4", "even number" },
            { "GPT-NeoX, Pythia", "quantization_config", """{"bits": 4}""", "unquantised" },
            { "GPT-2", "activation_function", "\"relu\"", "gelu_new" },
            { "GPT-2", "n_head", "5", "must divide n_embd" },
            { "Gemma 3 with a vision part", "text_config", "null", "text_config" },
        };

    [Theory, MemberData(nameof(Refused))]
    public void Config_NotSupported_IsRefusedByName(string name, string key, string value, string said)
    {
        var folder = FamilyCase.Of(name).Write(_folder.At("model"));
        TinyCheckpoint.Edit(folder, config => config[key] = JsonNode.Parse(value));
        Assert.Contains(
            said,
            Assert.ThrowsAny<UnsupportedCheckpointException>(() => Checkpoint.Open(folder)).Message,
            StringComparison.Ordinal
        );
    }

    // Keys of published files that do not affect the logits.
    [Theory]
    [InlineData("SmolLM, SmolLM2", """{"is_llama_config": true, "rope_interleaved": false, "transformers.js_config": {"dtype": "q4"}}""")]
    [InlineData("SmolLM3", """{"pretraining_tp": 2, "use_sliding_window": false, "attention_dropout": 0.1}""")]
    [InlineData("Llama 2", """{"pretraining_tp": 1, "_name_or_path": "x", "unsloth_version": "1", "neftune_noise_alpha": 5}""")]
    [InlineData("Zephyr", """{"attention_dropout": 0.0, "pad_token_id": 2, "use_cache": true}""")]
    [InlineData("Qwen2, Qwen2.5", """{"use_mrope": false, "max_window_layers": 28}""")]
    [InlineData("Phi-3", """{"auto_map": {"AutoConfig": "a.B"}, "rope_scaling": null}""")]
    [InlineData(
        "Phi-4-mini (partial rotation)",
        """{"interpolate_factor": 1, "full_attn_mod": 1, "lm_head_bias": false, "mlp_bias": false}"""
    )]
    [InlineData("Gemma 2", """{"sliding_window_size": 4096}""")]
    [InlineData("GPT-NeoX, Pythia", """{"attention_probs_dropout_prob": 0, "hidden_dropout_prob": 0, "hidden_act": "gelu_fast"}""")]
    [InlineData(
        "GPT-2",
        """
        {"_num_labels": 1, "output_past": true, "n_special": 0, "predict_special_tokens": true,
         "task_specific_params": {"text-generation": {"max_length": 50}}}
        """
    )]
    public void Config_KeysOfPublishedFiles_AreRead(string name, string keys)
    {
        var folder = FamilyCase.Of(name).Write(_folder.At("model"));
        TinyCheckpoint.Edit(folder, config =>
        {
            foreach (var (key, value) in JsonNode.Parse(keys)!.AsObject()) config[key] = value?.DeepClone();
        });
        using var checkpoint = Checkpoint.Open(folder);
        Assert.Equal(4, checkpoint.Config.LayerCount);
    }

    // Version 5 of the Hugging Face library nests the rotation's keys, for Gemma 3 once more by kind of layer.
    [Fact]
    public void Config_NewerFormOfTheSame_GivesTheSameRotations()
    {
        var older = ModelConfig.Load(FamilyCase.Of("Gemma 3").Write(_folder.At("older")));
        var folder = FamilyCase.Of("Gemma 3").Write(_folder.At("newer"));
        TinyCheckpoint.Edit(folder, config =>
        {
            foreach (var key in new[] { "rope_theta", "rope_scaling", "rope_local_base_freq", "sliding_window_pattern" })
                config.Remove(key);
            config["rope_parameters"] = JsonNode.Parse(
                """
                {"full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1000000.0},
                 "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}}
                """
            );
            config["layer_types"] = new JsonArray("sliding_attention", "sliding_attention", "full_attention", "sliding_attention");
        });
        var newer = ModelConfig.Load(folder);
        Assert.Equal(older.SlidingWindows, newer.SlidingWindows);
        foreach (var (a, b) in older.Ropes.Zip(newer.Ropes)) Assert.Equal(a!.InverseFrequencies(10), b!.InverseFrequencies(10));
    }
}
