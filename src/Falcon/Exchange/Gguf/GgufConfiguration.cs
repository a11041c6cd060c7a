using System.Globalization;
using System.Text.Json.Nodes;
using Falcon.Checkpoints.Gguf;
using Falcon.Runtime;

namespace Falcon.Exchange.Gguf;

/// <summary>
/// What the metadata of a GGUF file say about its model, as a Hugging Face configuration. Source of the keys: llama.cpp's converter, whose
/// output is in the fixtures, and the values that its runner takes where a key is absent.
/// </summary>
internal sealed class GgufConfiguration
{
    private static readonly Dictionary<string, (string Type, string Class)> Families = new()
    {
        ["llama"] = ("llama", "LlamaForCausalLM"),
        ["qwen2"] = ("qwen2", "Qwen2ForCausalLM"),
        ["qwen3"] = ("qwen3", "Qwen3ForCausalLM"),
        ["smollm3"] = ("smollm3", "SmolLM3ForCausalLM"),
        ["gemma2"] = ("gemma2", "Gemma2ForCausalLM"),
        ["gemma3"] = ("gemma3_text", "Gemma3ForCausalLM"),
        ["phi3"] = ("phi3", "Phi3ForCausalLM"),
        ["gpt2"] = ("gpt2", "GPT2LMHeadModel"),
        ["gptneox"] = ("gpt_neox", "GPTNeoXForCausalLM"),
    };

    private readonly GgufFile _file;
    private readonly GgufMetadata _metadata;

    /// <summary>Reads architecture and sizes.</summary>
    /// <exception cref="UnsupportedCheckpointException">Something is missing, does not fit, or is not known here.</exception>
    public GgufConfiguration(GgufFile file)
    {
        (_file, _metadata) = (file, file.Metadata);
        Architecture = _metadata.Text("general.architecture");
        if (!Families.ContainsKey(Architecture))
            throw Refused($"general.architecture is '{Shown(Architecture)}'; read are {string.Join(", ", Families.Keys)}");
        Layers = _metadata.Integer(Key("block_count"), 1, file.Tensors.Count);
        Hidden = _metadata.Integer(Key("embedding_length"), 1, 1 << 20);
        Intermediate = _metadata.Integer(Key("feed_forward_length"), 1, 1 << 24);
        Positions = _metadata.Integer(Key("context_length"), 1, int.MaxValue);
        Heads = _metadata.Integer(Key("attention.head_count"), 1, Hidden);
        KeyValueHeads = Has("attention.head_count_kv") ? _metadata.Integer(Key("attention.head_count_kv"), 1, Heads) : Heads;
        if (Heads % KeyValueHeads != 0)
            throw _metadata.Wrong(Key("attention.head_count_kv"), $"a divisor of the {Heads} heads ({Key("attention.head_count")})");
        HeadSize = Has("attention.key_length") ? _metadata.Integer(Key("attention.key_length"), 2, 1 << 16) : EqualHeads();
        if (Has("attention.value_length") && _metadata.Integer(Key("attention.value_length")) != HeadSize)
            throw _metadata.Wrong(Key("attention.value_length"), $"{HeadSize}, the size of a head");
        Rotated = Has("rope.dimension_count") ? _metadata.Integer(Key("rope.dimension_count"), 2, HeadSize) : HeadSize;
        if (Rotated != HeadSize && Architecture is not ("phi3" or "gptneox"))
            throw _metadata.Wrong(Key("rope.dimension_count"), $"{HeadSize}, the size of a head");
        GgufKeys.RefuseUnknown(file, Architecture);
    }

    /// <summary>The name of the architecture.</summary>
    public string Architecture { get; }

    /// <summary>Longest sequence.</summary>
    public int Positions { get; }

    /// <summary>Size of a head.</summary>
    public int HeadSize { get; }

    private int Layers { get; }

    private int Hidden { get; }

    private int Intermediate { get; }

    private int Heads { get; }

    private int KeyValueHeads { get; }

    private int Rotated { get; }

    /// <summary>The configuration, without the tokens' ids.</summary>
    /// <param name="tokens">Size of the vocabulary.</param>
    /// <param name="isTied">Whether the output matrix is the embedding.</param>
    /// <param name="has">Whether the file has a tensor of that name in its first layer, or a biased one.</param>
    /// <param name="factors">Rotary factors of the file by tensor name; null where there are none.</param>
    public JsonObject ToJson(int tokens, bool isTied, Func<string, bool> has, Func<string, float[]?> factors)
    {
        var (type, name) = Families[Architecture];
        var config = new JsonObject
        {
            ["architectures"] = new JsonArray(name),
            ["model_type"] = type,
            ["vocab_size"] = tokens,
            ["tie_word_embeddings"] = isTied,
        };
        if (Architecture == "gpt2")
            return Gpt2(config);
        config["hidden_size"] = Hidden;
        config["intermediate_size"] = Intermediate;
        config["num_hidden_layers"] = Layers;
        config["num_attention_heads"] = Heads;
        config["max_position_embeddings"] = Positions;
        if (Architecture == "gptneox")
            return GptNeoX(config, factors);
        config["num_key_value_heads"] = KeyValueHeads;
        config["head_dim"] = HeadSize;
        config["rms_norm_eps"] = Positive("attention.layer_norm_rms_epsilon");
        config["rope_theta"] = Theta("rope.freq_base");
        if (Architecture is "gemma2" or "gemma3")
            AddGemma(config);
        else
            config["hidden_act"] = "silu";
        if (Architecture == "llama")
        {
            config["attention_bias"] = has("attn_q.bias");
            config["mlp_bias"] = has("ffn_up.bias");
        }

        if (Architecture == "smollm3") // a 1 says that a layer rotates
            config["no_rope_layers"] = new JsonArray([.. Enumerable.Range(1, Layers).Select(layer => (JsonNode)(layer % 4 == 0 ? 0 : 1))]);
        if (Architecture == "phi3")
            AddPhi3(config);
        if (Scaling(factors) is { } scaling)
            config["rope_scaling"] = scaling;
        return config;
    }

    private JsonObject Gpt2(JsonObject config)
    {
        config["n_embd"] = Hidden;
        config["n_inner"] = Intermediate;
        config["n_layer"] = Layers;
        config["n_head"] = Heads;
        config["n_positions"] = Positions;
        config["activation_function"] = "gelu_new";
        config["layer_norm_epsilon"] = Positive("attention.layer_norm_epsilon");
        return config;
    }

    private JsonObject GptNeoX(JsonObject config, Func<string, float[]?> factors)
    {
        config["hidden_act"] = "gelu";
        config["layer_norm_eps"] = Positive("attention.layer_norm_epsilon");
        config["rotary_pct"] = (double)Rotated / HeadSize;
        config["rotary_emb_base"] = Theta("rope.freq_base");
        config["use_parallel_residual"] = _metadata.Flag(Key("use_parallel_residual"), true);
        if (Scaling(factors) is { } scaling)
            config["rope_scaling"] = scaling;
        return config;
    }

    private void AddGemma(JsonObject config)
    {
        config["hidden_activation"] = "gelu_pytorch_tanh";
        // llama.cpp divides scores by this for the 27B models, which it knows by their number of layers.
        var isLargest = (Architecture, Layers) is ("gemma2", 46) or ("gemma3", 62);
        config["query_pre_attn_scalar"] = isLargest ? Hidden / Heads : HeadSize;
        config["sliding_window"] =
            Has("attention.sliding_window") ? _metadata.Integer(Key("attention.sliding_window"), 1, int.MaxValue)
            : Architecture == "gemma2" ? 4096
            : throw Refused($"the key {Key("attention.sliding_window")} is missing");
        var period = Architecture == "gemma2" ? 2 : 6;
        config["layer_types"] = new JsonArray([
            .. Enumerable.Range(1, Layers).Select(layer => (JsonNode)(layer % period > 0 ? "sliding_attention" : "full_attention")),
        ]);
        if (Architecture == "gemma2")
        {
            config["attn_logit_softcapping"] = Has("attn_logit_softcapping") ? Positive("attn_logit_softcapping") : 50;
            config["final_logit_softcapping"] = Has("final_logit_softcapping") ? Positive("final_logit_softcapping") : 30;
        }
        else
        {
            if (Has("final_logit_softcapping"))
                config["final_logit_softcapping"] = Positive("final_logit_softcapping");
            config["rope_local_base_freq"] = Theta("rope.freq_base_swa");
        }
    }

    private void AddPhi3(JsonObject config)
    {
        config["partial_rotary_factor"] = (double)Rotated / HeadSize;
        config["original_max_position_embeddings"] = Original();
        var window = Has("attention.sliding_window") ? _metadata.Integer(Key("attention.sliding_window"), 0, int.MaxValue) : 0;
        config["sliding_window"] = window > 0 ? window : null; // the runner applies none
    }

    private int Original() =>
        Has("rope.scaling.original_context_length")
            ? _metadata.Integer(Key("rope.scaling.original_context_length"), 1, int.MaxValue)
            : Positions;

    private JsonObject? Scaling(Func<string, float[]?> factors)
    {
        if (factors("rope_freqs.weight") is { } divisors)
            return Llama3Scaling.Of(divisors, Theta("rope.freq_base"))
                ?? throw Refused(
                    "rope_freqs.weight are not those of a Llama 3 scaling with frequency factors 1 and 4; others are not read"
                );
        if (factors("rope_factors_long.weight") is { } far && factors("rope_factors_short.weight") is { } near)
            return LongRope(near, far);
        var key = Key("rope.scaling.type");
        if (!_metadata.Has(key) || _metadata.Text(key) == "none")
            return null;
        return _metadata.Text(key) switch
        {
            "linear" => new JsonObject { ["rope_type"] = "linear", ["factor"] = Positive("rope.scaling.factor") },
            "yarn" => new JsonObject
            {
                ["rope_type"] = "yarn",
                ["factor"] = Positive("rope.scaling.factor"),
                ["original_max_position_embeddings"] = Original(),
            },
            _ => throw _metadata.Wrong(key, "none, linear or yarn; other scalings are not read"),
        };
    }

    private JsonObject LongRope(float[] near, float[] far)
    {
        var original = Original();
        var usual = Positions > original ? Math.Sqrt(1 + Math.Log((double)Positions / original) / Math.Log(original)) : 1;
        var scaling = new JsonObject
        {
            ["type"] = "longrope",
            ["short_factor"] = Numbers(near),
            ["long_factor"] = Numbers(far),
        };
        if (Has("rope.scaling.attn_factor") && Positive("rope.scaling.attn_factor") is var factor && Math.Abs(factor - usual) > 1e-6)
            scaling["attention_factor"] = factor;
        return scaling;
    }

    private static JsonArray Numbers(float[] numbers) => new([.. numbers.Select(number => (JsonNode)Shortest(number))]);

    private string Key(string name) => $"{Architecture}.{name}";

    private bool Has(string name) => _metadata.Has(Key(name));

    private int EqualHeads() =>
        Hidden % Heads == 0
            ? Hidden / Heads
            : throw _metadata.Wrong(Key("attention.head_count"), $"a divisor of {Key("embedding_length")} ({Hidden})");

    private double Theta(string name) => Has(name) ? Positive(name) : 10000;

    private double Positive(string name)
    {
        var number = _metadata.Number(Key(name));
        return number > 0 ? Shortest((float)number) : throw _metadata.Wrong(Key(name), "a number above 0");
    }

    // The shortest number that reads as the same float32 is what the configuration said.
    private static double Shortest(float number) =>
        double.Parse(number.ToString(CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);

    private UnsupportedCheckpointException Refused(string reason) =>
        new($"{_file.Path}: {reason}. Take another file of the model, or convert it from its Hugging Face directory.");

    private static string Shown(string text) => string.Concat(text.Take(60).Select(one => char.IsControl(one) ? '?' : one));
}
