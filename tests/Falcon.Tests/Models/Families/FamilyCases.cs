using System.Text.Json.Nodes;
using static Falcon.Tests.Models.Families.FamilyLayouts;

namespace Falcon.Tests.Models.Families;

/// <summary>The families and variants that are tested.</summary>
internal static class FamilyCases
{
    private const string Llama2 = "tiny-bytefallback-llama2";
    private const string Gpt2 = "tiny-bytelevel-gpt2";

    /// <summary>Every tested family and variant.</summary>
    public static IReadOnlyList<FamilyCase> All { get; } =
    [
        Rotary("Llama 2", Llama2, "llama", "LlamaForCausalLM", new() { ["num_key_value_heads"] = 4 }),
        Rotary(
            "Llama 3, 3.1, 3.2",
            "tiny-bytelevel-llama3",
            "llama",
            "LlamaForCausalLM",
            new()
            {
                ["tie_word_embeddings"] = true,
                ["rope_theta"] = 500000.0,
                ["rope_scaling"] = new JsonObject
                {
                    ["rope_type"] = "llama3",
                    ["factor"] = 8.0,
                    ["low_freq_factor"] = 1.0,
                    ["high_freq_factor"] = 4.0,
                    ["original_max_position_embeddings"] = 32,
                },
            }
        ),
        Rotary(
            "Llama with linear RoPE scaling",
            Llama2,
            "llama",
            "LlamaForCausalLM",
            new()
            {
                ["rope_scaling"] = new JsonObject { ["rope_type"] = "linear", ["factor"] = 4.0 },
            }
        ),
        Rotary(
            "Llama with dynamic RoPE scaling",
            Llama2,
            "llama",
            "LlamaForCausalLM",
            new()
            {
                ["max_position_embeddings"] = 16,
                ["rope_scaling"] = new JsonObject { ["rope_type"] = "dynamic", ["factor"] = 2.0 },
            }
        ),
        Rotary(
            "Mistral",
            Llama2,
            "mistral",
            "MistralForCausalLM",
            new()
            {
                ["rope_theta"] = 1000000.0,
                ["sliding_window"] = null,
                ["head_dim"] = 10,
            }
        ),
        Rotary("Zephyr", Llama2, "mistral", "MistralForCausalLM", new() { ["sliding_window"] = 5 }),
        Rotary("Yi", "tiny-bytefallback-noprefix", "llama", "LlamaForCausalLM", new() { ["rope_theta"] = 5000000.0 }),
        Rotary(
            "Qwen2, Qwen2.5",
            "tiny-bytelevel-qwen",
            "qwen2",
            "Qwen2ForCausalLM",
            new()
            {
                ["tie_word_embeddings"] = true,
                ["sliding_window"] = 5,
                ["use_sliding_window"] = false,
                ["max_window_layers"] = 2,
            },
            bias: true
        ),
        Rotary(
            "Qwen2.5 with YaRN",
            "tiny-bytelevel-qwen",
            "qwen2",
            "Qwen2ForCausalLM",
            new()
            {
                ["max_position_embeddings"] = 256,
                ["rope_scaling"] = new JsonObject
                {
                    ["rope_type"] = "yarn",
                    ["factor"] = 4.0,
                    ["original_max_position_embeddings"] = 64,
                },
            },
            bias: true
        ),
        Rotary("Qwen3", "tiny-bytelevel-qwen", "qwen3", "Qwen3ForCausalLM", new() { ["head_dim"] = 12 }, headNorms: true),
        Rotary("SmolLM, SmolLM2", "tiny-bytelevel-smollm", "llama", "LlamaForCausalLM", new() { ["tie_word_embeddings"] = true }),
        Rotary(
            "SmolLM3",
            "tiny-bytelevel-llama3",
            "smollm3",
            "SmolLM3ForCausalLM",
            new()
            {
                ["no_rope_layers"] = new JsonArray(1, 1, 1, 0),
                ["no_rope_layer_interval"] = 4,
                ["tie_word_embeddings"] = true,
                ["rope_theta"] = 2000000.0,
            }
        ),
        Rotary(
            "Phi-3",
            "tiny-bytefallback-phi3",
            "phi3",
            "Phi3ForCausalLM",
            new()
            {
                ["sliding_window"] = 7,
                ["original_max_position_embeddings"] = 64,
                ["embd_pdrop"] = 0.0,
                ["resid_pdrop"] = 0.0,
            },
            joined: true
        ),
        Rotary(
            "Phi-3.5 (longrope)",
            "tiny-bytefallback-phi3",
            "phi3",
            "Phi3ForCausalLM",
            new()
            {
                ["original_max_position_embeddings"] = 16,
                ["rope_scaling"] = new JsonObject
                {
                    ["rope_type"] = "longrope",
                    ["short_factor"] = new JsonArray(1.0, 1.1, 1.3, 1.7),
                    ["long_factor"] = new JsonArray(1.0, 2.0, 5.0, 11.0),
                },
            },
            joined: true
        ),
        Rotary(
            "Phi-4-mini (partial rotation)",
            Gpt2,
            "phi3",
            "Phi3ForCausalLM",
            new() { ["partial_rotary_factor"] = 0.75, ["tie_word_embeddings"] = true },
            joined: true
        ),
        Rotary(
            "Gemma 2",
            "tiny-bytefallback-gemma",
            "gemma2",
            "Gemma2ForCausalLM",
            new()
            {
                ["head_dim"] = 10,
                ["query_pre_attn_scalar"] = 24,
                ["sliding_window"] = 6,
                ["attn_logit_softcapping"] = 5.0,
                ["final_logit_softcapping"] = 3.0,
                ["hidden_act"] = "gelu",
                ["hidden_activation"] = "gelu_pytorch_tanh",
                ["tie_word_embeddings"] = true,
                ["cache_implementation"] = "hybrid",
            },
            gemma: true
        ),
        Rotary("Gemma 3", "tiny-bytefallback-gemma", "gemma3_text", "Gemma3ForCausalLM", Gemma3(), headNorms: true, gemma: true),
        WithImages(),
        NeoX("GPT-NeoX, Pythia", parallel: true),
        NeoX("GPT-NeoX with sequential residuals", parallel: false),
        Gpt("GPT-2", "transformer."),
        Gpt("GPT-2, original names", ""),
    ];
}
