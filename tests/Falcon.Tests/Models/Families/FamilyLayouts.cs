using System.Text.Json.Nodes;

namespace Falcon.Tests.Models.Families;

/// <summary>Builds the config.json and the tensor list of a family, as the Hugging Face library writes them.</summary>
internal static class FamilyLayouts
{
    private const int Vocabulary = 816;
    private const int Hidden = 32;
    private const int Inner = 24;
    private const int Layers = 4;
    private const string LlamaDown = "model.layers.{0}.mlp.down_proj.weight";

    public static FamilyCase Rotary(
        string name,
        string tokenizer,
        string type,
        string architecture,
        JsonObject changes,
        bool bias = false,
        bool headNorms = false,
        bool joined = false,
        bool gemma = false
    )
    {
        var config = new JsonObject
        {
            ["model_type"] = type,
            ["architectures"] = new JsonArray(architecture),
            ["vocab_size"] = Vocabulary,
            ["hidden_size"] = Hidden,
            ["intermediate_size"] = Inner,
            ["num_hidden_layers"] = Layers,
            ["num_attention_heads"] = 4,
            ["num_key_value_heads"] = 2,
            ["max_position_embeddings"] = 128,
            ["rms_norm_eps"] = 1e-5,
            ["rope_theta"] = 10000.0,
            ["tie_word_embeddings"] = false,
        };
        if (!gemma)
            config["hidden_act"] = "silu";
        foreach (var (key, value) in changes)
            config[key] = value?.DeepClone();
        long heads = 4,
            pairs = config["num_key_value_heads"]!.GetValue<int>(),
            size = config["head_dim"]?.GetValue<int>() ?? Hidden / heads;
        List<(string, long[])> shapes = [("model.embed_tokens.weight", [Vocabulary, Hidden])];
        for (var layer = 0; layer < Layers; layer++)
        {
            var p = $"model.layers.{layer}.";
            if (joined)
            {
                shapes.Add((p + "self_attn.o_proj.weight", [Hidden, heads * size]));
                shapes.Add((p + "self_attn.qkv_proj.weight", [(heads + 2 * pairs) * size, Hidden]));
                shapes.Add((p + "mlp.gate_up_proj.weight", [2 * Inner, Hidden]));
            }
            else
            {
                foreach (var (part, count) in new[] { ("q", heads), ("k", pairs), ("v", pairs) })
                {
                    shapes.Add(($"{p}self_attn.{part}_proj.weight", [count * size, Hidden]));
                    if (bias) shapes.Add(($"{p}self_attn.{part}_proj.bias", [count * size]));
                }

                shapes.Add((p + "self_attn.o_proj.weight", [Hidden, heads * size]));
                foreach (var part in headNorms ? new[] { "q", "k" } : []) shapes.Add(($"{p}self_attn.{part}_norm.weight", [size]));
                shapes.Add((p + "mlp.gate_proj.weight", [Inner, Hidden]));
                shapes.Add((p + "mlp.up_proj.weight", [Inner, Hidden]));
            }

            shapes.Add((p + "mlp.down_proj.weight", [Hidden, Inner]));
            string[] norms = gemma
                ? ["input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm"]
                : ["input_layernorm", "post_attention_layernorm"];
            foreach (var norm in norms)
                shapes.Add(($"{p}{norm}.weight", [Hidden]));
        }

        shapes.Add(("model.norm.weight", [Hidden]));
        if (!config["tie_word_embeddings"]!.GetValue<bool>()) shapes.Add(("lm_head.weight", [Vocabulary, Hidden]));
        return new FamilyCase(name, tokenizer, config, shapes, LlamaDown);
    }

    // Two windowed layers, then one that sees everything, with scaled rotation.
    public static JsonObject Gemma3() =>
        new()
        {
            ["head_dim"] = 10,
            ["query_pre_attn_scalar"] = 24,
            ["sliding_window"] = 6,
            ["sliding_window_pattern"] = 3,
            ["hidden_activation"] = "gelu_pytorch_tanh",
            ["rope_theta"] = 1000000.0,
            ["rope_local_base_freq"] = 10000.0,
            ["rope_scaling"] = new JsonObject { ["rope_type"] = "linear", ["factor"] = 8.0 },
            ["attn_logit_softcapping"] = null,
            ["final_logit_softcapping"] = null,
            ["tie_word_embeddings"] = true,
        };

    public static FamilyCase WithImages()
    {
        var text = Rotary("", "tiny-bytefallback-gemma", "gemma3_text", "Gemma3ForCausalLM", Gemma3(), headNorms: true, gemma: true);
        var config = new JsonObject
        {
            ["model_type"] = "gemma3",
            ["architectures"] = new JsonArray("Gemma3ForConditionalGeneration"),
            ["text_config"] = text.Config.DeepClone(),
            ["vision_config"] = new JsonObject { ["hidden_size"] = 4 },
            ["mm_tokens_per_image"] = 256,
        };
        config["text_config"]!.AsObject().Remove("architectures");
        List<(string, long[])> shapes =
        [
            ("multi_modal_projector.mm_input_projection_weight", [4, Hidden]),
            ("vision_tower.vision_model.encoder.layers.0.self_attn.q_proj.weight", [4, 4]),
        ];
        shapes.AddRange(text.Shapes.Select(item => ("language_model." + item.Name, item.Shape)));
        return new FamilyCase("Gemma 3 with a vision part", text.Tokenizer, config, shapes, "language_model." + LlamaDown);
    }

    public static FamilyCase NeoX(string name, bool parallel)
    {
        var config = new JsonObject
        {
            ["model_type"] = "gpt_neox",
            ["architectures"] = new JsonArray("GPTNeoXForCausalLM"),
            ["vocab_size"] = Vocabulary,
            ["hidden_size"] = Hidden,
            ["intermediate_size"] = 40,
            ["num_hidden_layers"] = Layers,
            ["num_attention_heads"] = 4,
            ["max_position_embeddings"] = 128,
            ["layer_norm_eps"] = 1e-5,
            ["rotary_pct"] = 0.5,
            ["rotary_emb_base"] = 10000,
            ["hidden_act"] = "gelu",
            ["use_parallel_residual"] = parallel,
            ["tie_word_embeddings"] = false,
            ["attention_dropout"] = 0.1,
            ["hidden_dropout"] = 0.0,
        };
        List<(string, long[])> shapes = [("gpt_neox.embed_in.weight", [Vocabulary, Hidden])];
        for (var layer = 0; layer < Layers; layer++)
        {
            var p = $"gpt_neox.layers.{layer}.";
            foreach (var norm in new[] { "input_layernorm", "post_attention_layernorm" })
                shapes.AddRange([($"{p}{norm}.weight", [Hidden]), ($"{p}{norm}.bias", [Hidden])]);
            foreach (
                var (module, outputs, inputs) in new[]
                {
                    ("attention.query_key_value", 3L * Hidden, (long)Hidden),
                    ("attention.dense", Hidden, Hidden),
                    ("mlp.dense_h_to_4h", 40, Hidden),
                    ("mlp.dense_4h_to_h", Hidden, 40),
                }
            )
                shapes.AddRange([($"{p}{module}.weight", [outputs, inputs]), ($"{p}{module}.bias", [outputs])]);
            shapes.AddRange([(p + "attention.masked_bias", [1]), (p + "attention.rotary_emb.inv_freq", [2])]); // buffers of old files
        }

        shapes.AddRange([
            ("gpt_neox.final_layer_norm.weight", [Hidden]),
            ("gpt_neox.final_layer_norm.bias", [Hidden]),
            ("embed_out.weight", [Vocabulary, Hidden]),
        ]);
        return new FamilyCase(name, "tiny-bytelevel-neox", config, shapes, "gpt_neox.layers.{0}.mlp.dense_4h_to_h.weight");
    }

    public static FamilyCase Gpt(string name, string start)
    {
        var config = new JsonObject
        {
            ["model_type"] = "gpt2",
            ["architectures"] = new JsonArray("GPT2LMHeadModel"),
            ["vocab_size"] = Vocabulary,
            ["n_embd"] = Hidden,
            ["n_layer"] = Layers,
            ["n_head"] = 4,
            ["n_positions"] = 64,
            ["n_ctx"] = 64,
            ["n_inner"] = null,
            ["activation_function"] = "gelu_new",
            ["layer_norm_epsilon"] = 1e-5,
            ["attn_pdrop"] = 0.1,
            ["resid_pdrop"] = 0.1,
            ["embd_pdrop"] = 0.1,
            ["summary_type"] = "cls_index",
        };
        if (start.Length == 0) config["scale_attn_by_inverse_layer_idx"] = true;
        List<(string, long[])> shapes = [(start + "wte.weight", [Vocabulary, Hidden]), (start + "wpe.weight", [64, Hidden])];
        for (var layer = 0; layer < Layers; layer++)
        {
            var p = $"{start}h.{layer}.";
            if (start.Length == 0)
                shapes.Add((p + "attn.bias", [1, 1, 64, 64])); // the causal mask of the original files
            foreach (var norm in new[] { "ln_1", "ln_2" })
                shapes.AddRange([($"{p}{norm}.weight", [Hidden]), ($"{p}{norm}.bias", [Hidden])]);
            foreach (
                var (module, inputs, outputs) in new[]
                {
                    ("attn.c_attn", (long)Hidden, 3L * Hidden),
                    ("attn.c_proj", Hidden, Hidden),
                    ("mlp.c_fc", Hidden, 4 * Hidden),
                    ("mlp.c_proj", 4 * Hidden, Hidden),
                }
            )
                shapes.AddRange([($"{p}{module}.weight", [inputs, outputs]), ($"{p}{module}.bias", [outputs])]);
        }

        shapes.AddRange([(start + "ln_f.weight", [Hidden]), (start + "ln_f.bias", [Hidden])]);
        return new FamilyCase(name, "tiny-bytelevel-gpt2", config, shapes, start + "h.{0}.mlp.c_proj.weight");
    }
}
