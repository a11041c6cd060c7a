namespace Falcon.Models.Families;

/// <summary>Reads the configuration of GPT-NeoX (Pythia) and GPT-2, whose keys have names of their own.</summary>
internal static class GptFamilies
{
    public static ModelConfig ReadGptNeoX(ConfigReader reader)
    {
        // No dropout is applied.
        reader.Ignore("attention_dropout", "hidden_dropout", "classifier_dropout", "attention_probs_dropout_prob", "hidden_dropout_prob");
        var (hidden, heads) = (reader.PositiveInt("hidden_size"), reader.PositiveInt("num_attention_heads"));
        if (hidden % heads != 0)
            throw reader.Unsupported("num_attention_heads", $"{heads}", $"it must divide hidden_size ({hidden})");
        var layers = reader.PositiveInt("num_hidden_layers");
        var maxPositions = reader.PositiveInt("max_position_embeddings", 2048);
        var bias = reader.Bool("attention_bias", true);
        var keys = new RopeDefaults(10000, MayBePartial: true, Share: 0.25)
        {
            ThetaKeys = ["rotary_emb_base", "rope_theta"],
            ShareKeys = ["rotary_pct", "partial_rotary_factor"],
        };
        var ropes = RopeKeys.Read(reader, maxPositions, new int?[layers], keys);
        FamilyConfig.RequireRotatable(reader, ropes[0], hidden / heads);
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
            DeclaresTiedEmbeddings = reader.Has("tie_word_embeddings"),
            QueryKeyValueBias = bias,
            OutputBias = bias,
            MlpBias = true,
            ParallelResidual = reader.Bool("use_parallel_residual", true),
            Activation = FamilyConfig.ReadActivation(reader, "hidden_act", "gelu"),
            Ropes = ropes,
            SlidingWindows = new int?[layers],
            DeclaredDType = FamilyConfig.DeclaredDType(reader),
            EosTokenIds = reader.Ints("eos_token_id"),
        };
    }

    public static ModelConfig ReadGpt2(ConfigReader reader)
    {
        // No dropout is applied, and reordering or upcasting the attention product gives the same logits.
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
            DeclaresTiedEmbeddings = reader.Has("tie_word_embeddings"),
            QueryKeyValueBias = true,
            OutputBias = true,
            MlpBias = true,
            Activation = FamilyConfig.ReadActivation(reader, "activation_function", "gelu_new"),
            ScoreScalar = reader.Bool("scale_attn_weights", true) ? null : 1,
            ScoresFallWithDepth = reader.Bool("scale_attn_by_inverse_layer_idx", false),
            Ropes = new RopeConfig?[layers],
            SlidingWindows = new int?[layers],
            DeclaredDType = FamilyConfig.DeclaredDType(reader),
            EosTokenIds = reader.Ints("eos_token_id"),
        };
    }
}
