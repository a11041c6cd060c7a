namespace Falcon.Models.Families;

/// <summary>
/// Reads the configuration of the families that share Llama's layout: Llama, Mistral, Qwen2, Qwen3, Phi-3, Gemma 2, Gemma 3 and SmolLM3.
/// They differ in defaults, biases, norms, sliding windows and the layers that rotate.
/// </summary>
internal static class RotaryFamilies
{
    public static ModelConfig Read(ConfigReader reader, string family)
    {
        var (phi, gemma2, gemma3) = (family == "phi3", family == "gemma2", family == "gemma3_text");
        var gemma = gemma2 || gemma3;
        if (gemma) reader.Ignore("hidden_act", "use_bidirectional_attention"); // a key of older files, and one that is false in a decoder
        if (gemma2) reader.Ignore("sliding_window_size"); // repeats sliding_window
        reader.Ignore("attention_dropout", "resid_pdrop", "embd_pdrop"); // no dropout is applied
        if (phi)
        {
            reader.RequireNeutral("interpolate_factor", 1);
            reader.RequireNeutral("full_attn_mod", 1);
        }

        var hidden = reader.PositiveInt("hidden_size", gemma3 ? 2304 : null);
        var heads = reader.PositiveInt("num_attention_heads", gemma3 ? 8 : null);
        var keyValueHeads = reader.PositiveInt("num_key_value_heads", gemma ? 4 : heads);
        var usualHeadSize = family == "qwen3" ? 128 : gemma ? 256 : hidden / heads;
        var headSize = reader.PositiveInt("head_dim", usualHeadSize);
        if (heads % keyValueHeads != 0)
            throw reader.Unsupported("num_key_value_heads", $"{keyValueHeads}", $"it must divide num_attention_heads ({heads})");
        var layers = reader.PositiveInt("num_hidden_layers", gemma3 ? 26 : null);
        var maxPositions = reader.PositiveInt("max_position_embeddings", phi ? 4096 : gemma2 ? 8192 : gemma3 ? 131072 : 2048);
        var attentionBias = reader.Bool("attention_bias", false);
        var windows = ReadWindows(reader, family, layers);
        var ropes = ReadRopes(reader, family, layers, maxPositions, windows);
        foreach (var rope in ropes) FamilyConfig.RequireRotatable(reader, rope, headSize);
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
            DeclaresTiedEmbeddings = reader.Has("tie_word_embeddings"),
            QueryKeyValueBias = family == "qwen2" || attentionBias,
            OutputBias = family != "qwen2" && attentionBias,
            MlpBias = reader.Bool("mlp_bias", false),
            QueryKeyNorm = family == "qwen3" || gemma3,
            Activation = gemma
                ? FamilyConfig.ReadActivation(reader, "hidden_activation", "gelu_pytorch_tanh")
                : FamilyConfig.ReadActivation(reader, "hidden_act", "silu"),
            ScoreScalar = gemma ? reader.Double("query_pre_attn_scalar", 256) : null,
            ScoreCap = gemma ? reader.DoubleOrNull("attn_logit_softcapping", gemma2 ? 50 : null) : null,
            LogitCap = gemma ? reader.DoubleOrNull("final_logit_softcapping", gemma2 ? 30 : null) : null,
            Ropes = ropes,
            SlidingWindows = windows,
            DeclaredDType = FamilyConfig.DeclaredDType(reader),
            EosTokenIds = reader.Ints("eos_token_id"),
        };
    }

    private static RopeConfig?[] ReadRopes(ConfigReader reader, string family, int layers, int maxPositions, int?[] windows)
    {
        // In Gemma 3, layers with a sliding window have their own base and no scaling.
        var ropes = family switch
        {
            "gemma3_text" => RopeKeys.Read(
                reader,
                maxPositions,
                windows,
                new RopeDefaults(1e6),
                new RopeDefaults(10000) { ThetaKeys = ["rope_local_base_freq"], ScalingKey = null }
            ),
            "phi3" => RopeKeys.Read(
                reader,
                maxPositions,
                windows,
                new RopeDefaults(10000, MayBePartial: true, Original: reader.PositiveInt("original_max_position_embeddings", 4096))
            ),
            _ => RopeKeys.Read(reader, maxPositions, windows, new RopeDefaults(family == "smollm3" ? 2e6 : 10000)),
        };
        var rotated = family == "smollm3" ? ReadRotatedLayers(reader, layers) : null;
        return [.. ropes.Select((rope, layer) => rotated is null || rotated[layer] ? rope : null)];
    }

    // Despite the name of no_rope_layers, a 1 means that the layer does rotate.
    private static bool[] ReadRotatedLayers(ConfigReader reader, int layers)
    {
        var interval = reader.PositiveInt("no_rope_layer_interval", 4);
        var given = reader.Ints("no_rope_layers");
        if (given.Count > 0 && given.Count != layers)
            throw reader.Unsupported("no_rope_layers", $"{given.Count} entries", $"num_hidden_layers is {layers}");
        return [.. Enumerable.Range(0, layers).Select(layer => given.Count > 0 ? given[layer] != 0 : (layer + 1) % interval != 0)];
    }

    private static int?[] ReadWindows(ConfigReader reader, string family, int layers)
    {
        int? missing = family is "mistral" or "gemma2" or "gemma3_text" ? 4096 : null;
        var window = reader.PositiveIntOrNull("sliding_window") ?? (reader.IsNull("sliding_window") ? null : missing);
        var firstSliding = reader.IntOrNull("max_window_layers") ?? layers;
        var useWindow = reader.Bool("use_sliding_window", false);
        var pattern = 2;
        if (family == "gemma3_text")
        {
            pattern = reader.PositiveIntOrNull("sliding_window_pattern") ?? reader.PositiveInt("_sliding_window_pattern", 6);
            reader.Ignore("_sliding_window_pattern");
        }

        var types = reader.Strings("layer_types");
        foreach (var type in types.Where(type => type is not ("full_attention" or "sliding_attention")))
            throw reader.Unsupported("layer_types", type, "the supported types are full_attention and sliding_attention");
        if (types.Count > 0 && types.Count != layers)
            throw reader.Unsupported("layer_types", $"{types.Count} entries", $"num_hidden_layers is {layers}");
        if (family == "smollm3" && useWindow && types.Count == 0)
            throw reader.Unsupported("use_sliding_window", "true", "a smollm3 model with windows must name its layer_types");
        return [.. Enumerable.Range(0, layers).Select(WindowOf)];

        int? WindowOf(int layer) => family switch
        {
            "llama" => null,
            "mistral" or "phi3" => window,
            _ when types.Count > 0 => types[layer] == "sliding_attention" ? window : null,
            "gemma2" or "gemma3_text" => (layer + 1) % pattern != 0 ? window : null,
            _ => useWindow && layer >= firstSliding ? window : null,
        };
    }
}
