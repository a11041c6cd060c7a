namespace Falcon.Models.Families;

/// <summary>Reads a <c>config.json</c>: finds the family, then reads its keys with the family's own defaults for absent ones.</summary>
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
        var known = string.Join(", ", Families.Select(item => item.Family));
        var expected = Families.FirstOrDefault(item => item.Family == family).Class
            ?? throw reader.Unsupported("model_type", family, $"the supported families are {known}");
        if (reader.Has("quantization_config"))
            throw reader.Unsupported("quantization_config", "present", "the weights are quantised; use the unquantised checkpoint");
        var architecture = reader.Strings("architectures");
        if (architecture.Count > 0 && !architecture.Contains(expected))
            throw reader.Unsupported("architectures", string.Join(", ", architecture), $"a {family} model needs {expected}");
        if (family == "gemma3") return ReadWithImages(reader);
        var config = family switch
        {
            "gpt_neox" => GptFamilies.ReadGptNeoX(reader),
            "gpt2" => GptFamilies.ReadGpt2(reader),
            _ => RotaryFamilies.Read(reader, family),
        };
        reader.RefuseUnknownKeys();
        return config with { ModelType = family };
    }

    // Gemma 3 with a vision tower: text_config describes the decoder; the other parts are copied unread.
    private static ModelConfig ReadWithImages(ConfigReader reader)
    {
        var text = reader.Object("text_config")
            ?? throw reader.Unsupported("text_config", "missing", "a gemma3 model needs it; restore the original config.json");
        _ = text.StringOrNull("model_type");
        var config = RotaryFamilies.Read(text, "gemma3_text");
        text.RefuseUnknownKeys();
        var tied = config.TiedEmbeddings;
        if (reader.Has("tie_word_embeddings"))
        {
            // Libraries of different versions look at one place or the other.
            tied = reader.Bool("tie_word_embeddings", tied);
            if (config.DeclaresTiedEmbeddings && tied != config.TiedEmbeddings)
                throw reader.Unsupported(
                    "tie_word_embeddings",
                    tied ? "true" : "false",
                    $"in text_config it is {(tied ? "false" : "true")}; give both the value that is right for this model"
                );
        }

        return config with
        {
            TiedEmbeddings = tied,
            DeclaresTiedEmbeddings = config.DeclaresTiedEmbeddings || reader.Has("tie_word_embeddings"),
            ModelType = "gemma3",
            Architecture = ArchitectureDescription.GemmaWithImages,
            DeclaredDType = DeclaredDType(reader) ?? config.DeclaredDType,
            EosTokenIds = reader.Ints("eos_token_id") is { Count: > 0 } ids ? ids : config.EosTokenIds,
        };
    }

    internal static string? DeclaredDType(ConfigReader reader) => reader.StringOrNull("dtype") ?? reader.StringOrNull("torch_dtype");

    internal static ActivationKind ReadActivation(ConfigReader reader, string key, string missing) => reader.String(key, missing) switch
    {
        "silu" or "swish" => ActivationKind.Silu,
        "gelu" => ActivationKind.Gelu,
        "gelu_new" or "gelu_pytorch_tanh" or "gelu_fast" => ActivationKind.GeluTanh,
        var other => throw reader.Unsupported(key, other, "the supported activations are silu, gelu, gelu_new and gelu_pytorch_tanh"),
    };

    internal static void RequireRotatable(ConfigReader reader, RopeConfig? rope, int headSize)
    {
        if (rope is null) return;
        var size = rope.RotarySize(headSize);
        if (size % 2 != 0 || size < 2 || size > headSize)
            throw reader.Unsupported("head_dim", $"{headSize}", $"rotary embedding needs an even number of its dimensions, not {size}");
        if (rope.Type == "longrope" && (rope.ShortFactors.Count != size / 2 || rope.LongFactors.Count != size / 2))
            throw reader.Unsupported(
                "rope_scaling",
                $"longrope with {rope.ShortFactors.Count} short and {rope.LongFactors.Count} long factors",
                $"there must be {size / 2} of each, one for every two rotated dimensions"
            );
    }
}
