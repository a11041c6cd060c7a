namespace Falcon.Models.Families;

/// <summary>Reads the keys of each family's <c>config.json</c>, with the family's defaults for absent ones.</summary>
internal static class FamilyConfig
{
    private static readonly (string Family, string Class)[] Families =
    [
        ("llama", "LlamaForCausalLM"),
        ("mistral", "MistralForCausalLM"),
        ("qwen2", "Qwen2ForCausalLM"),
        ("qwen3", "Qwen3ForCausalLM"),
        ("phi3", "Phi3ForCausalLM"),
        ("gemma2", "Gemma2ForCausalLM"),
        ("gemma3_text", "Gemma3ForCausalLM"),
        ("gemma3", "Gemma3ForConditionalGeneration"),
        ("smollm3", "SmolLM3ForCausalLM"),
        ("gpt_neox", "GPTNeoXForCausalLM"),
        ("gpt2", "GPT2LMHeadModel"),
    ];

    /// <summary>Reads a whole file.</summary>
    public static ModelConfig Read(ConfigReader reader)
    {
        var family = reader.String("model_type");
        var expected = Families.FirstOrDefault(known => known.Family == family).Class
            ?? throw reader.Unsupported(
                "model_type",
                family,
                $"the supported families are {string.Join(", ", Families.Select(known => known.Family))}"
            );
        if (reader.Has("quantization_config"))
            throw reader.Unsupported("quantization_config", "present", "the weights are quantised; use the unquantised checkpoint");
        var architecture = reader.Strings("architectures");
        if (architecture.Count > 0 && !architecture.Contains(expected))
            throw reader.Unsupported("architectures", string.Join(", ", architecture), $"a {family} model needs {expected}");
        if (family == "gemma3") return ReadWithImages(reader);
        var config = family switch { "gpt_neox" => ReadGptNeoX(reader), "gpt2" => ReadGpt2(reader), _ => ReadRotary(reader, family) };
        reader.RefuseUnknownKeys();
        return config with { ModelType = family };
    }

    // A Gemma 3 with a vision part: the decoder is described in text_config, the rest is carried along.
    private static ModelConfig ReadWithImages(ConfigReader reader)
    {
        var text = reader.Object("text_config")
            ?? throw reader.Unsupported(
                "text_config",
                "missing",
                "a gemma3 model describes its decoder there; use the config.json of the same checkpoint"
            );
        _ = text.StringOrNull("model_type");
        var config = ReadRotary(text, "gemma3_text");
        text.RefuseUnknownKeys();
        return config with
        {
            ModelType = "gemma3",
            Architecture = ArchitectureDescription.GemmaWithImages,
            DeclaredDType = DeclaredDType(reader) ?? config.DeclaredDType,
            EosTokenIds = reader.Ints("eos_token_id") is { Count: > 0 } ids ? ids : config.EosTokenIds,
        };
    }

    private static ModelConfig ReadRotary(ConfigReader reader, string family)
    {
        var (phi, gemma2, gemma3) = (family == "phi3", family == "gemma2", family == "gemma3_text");
        var gemma = gemma2 || gemma3;
        if (gemma) reader.Ignore("hidden_act", "use_bidirectional_attention"); // an older file's key, and one that is false in a decoder
        if (gemma2) reader.Ignore("sliding_window_size"); // sliding_window once more
        reader.Ignore("attention_dropout", "resid_pdrop", "embd_pdrop"); // no dropout is applied
        if (phi)
        {
            reader.RequireOneOf("interpolate_factor", 1);
            reader.RequireOneOf("full_attn_mod", 1);
        }

        var hidden = reader.PositiveInt("hidden_size", gemma3 ? 2304 : null);
        var heads = reader.PositiveInt("num_attention_heads", gemma3 ? 8 : null);
        var keyValueHeads = reader.PositiveInt("num_key_value_heads", gemma ? 4 : heads);
        var headSize = reader.PositiveInt(
            "head_dim",
            family == "qwen3" ? 128
                : gemma ? 256
                : hidden / heads
        );
        if (heads % keyValueHeads != 0)
            throw reader.Unsupported("num_key_value_heads", $"{keyValueHeads}", $"it must divide num_attention_heads ({heads})");
        var layers = reader.PositiveInt("num_hidden_layers", gemma3 ? 26 : null);
        var maxPositions = reader.PositiveInt("max_position_embeddings", phi ? 4096 : gemma2 ? 8192 : gemma3 ? 131072 : 2048);
        var attentionBias = reader.Bool("attention_bias", false);
        var windows = ReadWindows(reader, family, layers);
        var ropes = ReadRopes(reader, family, layers, maxPositions, windows);
        foreach (var rope in ropes) RequireRotatable(reader, rope, headSize);
        return new ModelConfig
        {
            ModelType = family,
            Architecture = phi ? ArchitectureDescription.Phi3 : gemma ? ArchitectureDescription.Gemma : ArchitectureDescription.Llama,
            VocabularySize = reader.PositiveInt("vocab_size", gemma3 ? 262208 : null),
            HiddenSize = hidden,
            IntermediateSize = reader.PositiveInt("intermediate_size", gemma3 ? 9216 : null),
            LayerCount = layers,
            HeadCount = heads,
            KeyValueHeadCount = keyValueHeads,
            HeadSize = headSize,
            NormEpsilon = reader.Double("rms_norm_eps", phi ? 1e-5 : 1e-6),
            MaxPositions = maxPositions,
            TiedEmbeddings = reader.Bool("tie_word_embeddings", gemma || family == "smollm3"),
            QueryKeyValueBias = family == "qwen2" || attentionBias,
            OutputBias = family != "qwen2" && attentionBias,
            MlpBias = reader.Bool("mlp_bias", false),
            QueryKeyNorm = family == "qwen3" || gemma3,
            Activation = ReadActivation(reader, gemma ? "hidden_activation" : "hidden_act", gemma ? "gelu_pytorch_tanh" : "silu"),
            ScoreScalar = gemma ? reader.Double("query_pre_attn_scalar", 256) : null,
            ScoreCap = gemma ? reader.DoubleOrNull("attn_logit_softcapping", gemma2 ? 50 : null) : null,
            LogitCap = gemma ? reader.DoubleOrNull("final_logit_softcapping", gemma2 ? 30 : null) : null,
            Ropes = ropes,
            SlidingWindows = windows,
            DeclaredDType = DeclaredDType(reader),
            EosTokenIds = reader.Ints("eos_token_id"),
        };
    }

    private static ModelConfig ReadGptNeoX(ConfigReader reader)
    {
        reader.Ignore("attention_dropout", "hidden_dropout", "classifier_dropout", "attention_probs_dropout_prob", "hidden_dropout_prob"); // no dropout is applied
        var (hidden, heads) = (reader.PositiveInt("hidden_size"), reader.PositiveInt("num_attention_heads"));
        if (hidden % heads != 0)
            throw reader.Unsupported("num_attention_heads", $"{heads}", $"it must divide hidden_size ({hidden})");
        var (layers, maxPositions, bias) = (
            reader.PositiveInt("num_hidden_layers"),
            reader.PositiveInt("max_position_embeddings", 2048),
            reader.Bool("attention_bias", true)
        );
        var rope = RopeConfig.Read(
            reader,
            maxPositions,
            reader.Double("rotary_emb_base", reader.Double("rope_theta", 10000)),
            reader.Double("rotary_pct", reader.Double("partial_rotary_factor", 0.25)),
            mayBePartial: true
        );
        RequireRotatable(reader, rope, hidden / heads);
        return new ModelConfig
        {
            ModelType = "gpt_neox",
            Architecture = ArchitectureDescription.GptNeoX,
            VocabularySize = reader.PositiveInt("vocab_size"),
            HiddenSize = hidden,
            IntermediateSize = reader.PositiveInt("intermediate_size"),
            LayerCount = layers,
            HeadCount = heads,
            KeyValueHeadCount = heads,
            HeadSize = hidden / heads,
            NormEpsilon = reader.Double("layer_norm_eps", 1e-5),
            MaxPositions = maxPositions,
            TiedEmbeddings = reader.Bool("tie_word_embeddings", false),
            QueryKeyValueBias = bias,
            OutputBias = bias,
            MlpBias = true,
            ParallelResidual = reader.Bool("use_parallel_residual", true),
            Activation = ReadActivation(reader, "hidden_act", "gelu"),
            Ropes = [.. Enumerable.Repeat(rope, layers)],
            SlidingWindows = new int?[layers],
            DeclaredDType = DeclaredDType(reader),
            EosTokenIds = reader.Ints("eos_token_id"),
        };
    }

    private static ModelConfig ReadGpt2(ConfigReader reader)
    {
        // Dropout is not applied, and the order of the products does not change what they are.
        reader.Ignore(
            "resid_pdrop",
            "embd_pdrop",
            "attn_pdrop",
            "n_ctx",
            "reorder_and_upcast_attn",
            "summary_activation",
            "summary_first_dropout",
            "summary_proj_to_labels",
            "summary_type",
            "summary_use_proj",
            "n_special",
            "predict_special_tokens",
            "output_past"
        );
        var (hidden, heads, layers) = (reader.PositiveInt("n_embd"), reader.PositiveInt("n_head"), reader.PositiveInt("n_layer"));
        if (hidden % heads != 0) throw reader.Unsupported("n_head", $"{heads}", $"it must divide n_embd ({hidden})");
        return new ModelConfig
        {
            ModelType = "gpt2",
            Architecture = ArchitectureDescription.Gpt2,
            VocabularySize = reader.PositiveInt("vocab_size"),
            HiddenSize = hidden,
            IntermediateSize = reader.PositiveInt("n_inner", 4 * hidden),
            LayerCount = layers,
            HeadCount = heads,
            KeyValueHeadCount = heads,
            HeadSize = hidden / heads,
            NormEpsilon = reader.Double("layer_norm_epsilon", 1e-5),
            MaxPositions = reader.PositiveInt("n_positions", 1024),
            TiedEmbeddings = reader.Bool("tie_word_embeddings", true),
            QueryKeyValueBias = true,
            OutputBias = true,
            MlpBias = true,
            Activation = ReadActivation(reader, "activation_function", "gelu_new"),
            ScoreScalar = reader.Bool("scale_attn_weights", true) ? null : 1,
            ScoresFallWithDepth = reader.Bool("scale_attn_by_inverse_layer_idx", false),
            Ropes = new RopeConfig?[layers],
            SlidingWindows = new int?[layers],
            DeclaredDType = DeclaredDType(reader),
            EosTokenIds = reader.Ints("eos_token_id"),
        };
    }

    private static string? DeclaredDType(ConfigReader reader) => reader.StringOrNull("dtype") ?? reader.StringOrNull("torch_dtype");

    private static ActivationKind ReadActivation(ConfigReader reader, string key, string missing) => reader.String(key, missing) switch
    {
        "silu" or "swish" => ActivationKind.Silu,
        "gelu" => ActivationKind.Gelu,
        "gelu_new" or "gelu_pytorch_tanh" or "gelu_fast" => ActivationKind.GeluTanh,
        var other => throw reader.Unsupported(key, other, "the supported activations are silu, gelu, gelu_new and gelu_pytorch_tanh"),
    };

    private static void RequireRotatable(ConfigReader reader, RopeConfig? rope, int headSize)
    {
        if (rope is null) return;
        var size = rope.RotarySize(headSize);
        if (size % 2 != 0 || size < 2 || size > headSize)
            throw reader.Unsupported("head_dim", $"{headSize}", $"rotary embedding needs an even number of its dimensions, not {size}");
        if (rope.Type == "longrope" && (rope.ShortFactors.Count != size / 2 || rope.LongFactors.Count != size / 2))
            throw reader.Unsupported(
                "rope_scaling",
                $"longrope with {rope.ShortFactors.Count} short and {rope.LongFactors.Count} long factors",
                $"there must be {size / 2} of each, one for two rotated dimensions"
            );
    }

    private static RopeConfig?[] ReadRopes(ConfigReader reader, string family, int layers, int maxPositions, int?[] windows)
    {
        if (family == "gemma3_text") return ReadGemma3Ropes(reader, layers, maxPositions, windows);
        var theta = reader.Double("rope_theta", family == "smollm3" ? 2e6 : 10000);
        var phi = family == "phi3";
        var rope = phi
            ? RopeConfig.Read(
                reader,
                maxPositions,
                theta,
                reader.Double("partial_rotary_factor", 1),
                mayBePartial: true,
                reader.PositiveInt("original_max_position_embeddings", 4096)
            )
            : RopeConfig.Read(reader, maxPositions, theta);
        var rotated = family == "smollm3" ? ReadRotatedLayers(reader, layers) : null;
        return [.. Enumerable.Range(0, layers).Select(layer => rotated is null || rotated[layer] ? rope : null)];
    }

    // In the key's name "no_rope" a 1 means that the layer does rotate.
    private static bool[] ReadRotatedLayers(ConfigReader reader, int layers)
    {
        var interval = reader.PositiveInt("no_rope_layer_interval", 4);
        var given = reader.Ints("no_rope_layers");
        if (given.Count > 0 && given.Count != layers)
            throw reader.Unsupported("no_rope_layers", $"{given.Count} entries", $"num_hidden_layers is {layers}");
        return [.. Enumerable.Range(0, layers).Select(layer => given.Count > 0 ? given[layer] != 0 : (layer + 1) % interval != 0)];
    }

    // Layers with a window have a base of their own and no scaling.
    private static RopeConfig?[] ReadGemma3Ropes(ConfigReader reader, int layers, int maxPositions, int?[] windows)
    {
        RopeConfig full, local;
        if (reader.Object("rope_parameters") is { } nested)
        {
            full = nested.Object("full_attention") is { } settings
                ? RopeConfig.ReadScaling(settings, maxPositions, settings.Double("rope_theta", 1e6))
                : new RopeConfig(1e6);
            local = nested.Object("sliding_attention") is { } own
                ? RopeConfig.ReadScaling(own, maxPositions, own.Double("rope_theta", 10000))
                : new RopeConfig(10000);
            nested.RefuseUnknownKeys();
        }
        else
        {
            full = RopeConfig.Read(reader, maxPositions, reader.Double("rope_theta", 1e6));
            local = new RopeConfig(reader.Double("rope_local_base_freq", 10000));
        }

        return [.. Enumerable.Range(0, layers).Select(layer => windows[layer] is null ? full : local)];
    }

    private static int?[] ReadWindows(ConfigReader reader, string family, int layers)
    {
        int? missing = family is "mistral" or "gemma2" or "gemma3_text" ? 4096 : null;
        var window = reader.PositiveIntOrNull("sliding_window") ?? (reader.IsNull("sliding_window") ? null : missing);
        var firstSliding = reader.IntOrNull("max_window_layers") ?? layers;
        var useWindow = reader.Bool("use_sliding_window", false);
        var pattern =
            family == "gemma3_text"
                ? reader.PositiveIntOrNull("sliding_window_pattern") ?? reader.PositiveInt("_sliding_window_pattern", 6)
                : 2;
        if (family == "gemma3_text")
            reader.Ignore("_sliding_window_pattern");
        var types = reader.Strings("layer_types");
        foreach (var type in types.Where(type => type is not ("full_attention" or "sliding_attention")))
            throw reader.Unsupported("layer_types", type, "known are full_attention and sliding_attention");
        if (types.Count > 0 && types.Count != layers)
            throw reader.Unsupported("layer_types", $"{types.Count} entries", $"num_hidden_layers is {layers}");
        if (family == "smollm3" && useWindow && types.Count == 0)
            throw reader.Unsupported("use_sliding_window", "true", "a smollm3 model with windows must name its layer_types");
        return
        [
            .. Enumerable
                .Range(0, layers)
                .Select(layer =>
                    family switch
                    {
                        "llama" => null,
                        "mistral" or "phi3" => window,
                        _ when types.Count > 0 => types[layer] == "sliding_attention" ? window : null,
                        "gemma2" or "gemma3_text" => (layer + 1) % pattern != 0 ? window : null,
                        _ => useWindow && layer >= firstSliding ? window : null,
                    }
                ),
        ];
    }
}
