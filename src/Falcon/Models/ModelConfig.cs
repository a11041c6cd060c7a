using System.Text.Json;
using Falcon.Runtime;

namespace Falcon.Models;

/// <summary>The architecture of a decoder-only transformer, read from a Hugging Face <c>config.json</c>.</summary>
/// <remarks>
/// A key, model type, activation or RoPE scaling that is not known is refused by name: an ignored key (a scaling, a bias, a window)
/// silently gives other logits.
/// </remarks>
public sealed record ModelConfig
{
    /// <summary>The family: <c>llama</c>, <c>mistral</c>, <c>qwen2</c> or <c>qwen3</c>.</summary>
    public required string ModelType { get; init; }

    /// <summary>Number of tokens in the vocabulary (V).</summary>
    public required int VocabularySize { get; init; }

    /// <summary>Width of the residual stream (H).</summary>
    public required int HiddenSize { get; init; }

    /// <summary>Width of the MLP's inner layer.</summary>
    public required int IntermediateSize { get; init; }

    /// <summary>Number of decoder layers.</summary>
    public required int LayerCount { get; init; }

    /// <summary>Number of query heads (A).</summary>
    public required int HeadCount { get; init; }

    /// <summary>Number of key/value heads; each serves HeadCount / KeyValueHeadCount query heads.</summary>
    public required int KeyValueHeadCount { get; init; }

    /// <summary>Width of one head (D); may differ from HiddenSize / HeadCount.</summary>
    public required int HeadSize { get; init; }

    /// <summary>The epsilon under the root of RMSNorm.</summary>
    public required double NormEpsilon { get; init; }

    /// <summary>Longest sequence the model was made for.</summary>
    public required int MaxPositions { get; init; }

    /// <summary>Whether the output head is the embedding matrix.</summary>
    public required bool TiedEmbeddings { get; init; }

    /// <summary>Whether the q, k and v projections have a bias.</summary>
    public bool QueryKeyValueBias { get; init; }

    /// <summary>Whether the o projection has a bias.</summary>
    public bool OutputBias { get; init; }

    /// <summary>Whether the three MLP matrices have a bias.</summary>
    public bool MlpBias { get; init; }

    /// <summary>Whether queries and keys are normalised per head before RoPE (Qwen3).</summary>
    public bool QueryKeyNorm { get; init; }

    /// <summary>Rotary position embedding.</summary>
    public required RopeConfig Rope { get; init; }

    /// <summary>The sliding attention window of each layer; null where the layer sees everything before it.</summary>
    public required IReadOnlyList<int?> SlidingWindows { get; init; }

    /// <summary>The dtype that the file claims for its weights (<c>dtype</c> or <c>torch_dtype</c>); the safetensors header is the truth.</summary>
    public string? DeclaredDType { get; init; }

    /// <summary>Ids that end a generation, from <c>eos_token_id</c>.</summary>
    public IReadOnlyList<int> EosTokenIds { get; init; } = [];

    private static readonly string[] Families = ["llama", "mistral", "qwen2", "qwen3"];

    /// <summary>Reads <c>config.json</c> in <paramref name="directory"/>.</summary>
    /// <exception cref="UserInputException">The directory or the file is missing, or it is not JSON.</exception>
    /// <exception cref="UnsupportedCheckpointException">A key or value is not supported; the message names it.</exception>
    public static ModelConfig Load(string directory)
    {
        if (!Directory.Exists(directory)) throw new UserInputException($"{directory}: no such directory. Give the folder of a Hugging Face checkpoint (config.json, *.safetensors, tokenizer.json).");
        var path = Path.Combine(directory, "config.json");
        if (!File.Exists(path)) throw new UserInputException($"{path}: not found. A Hugging Face checkpoint directory has a config.json beside its weights.");
        return Read(path);
    }

    /// <summary>Reads one configuration file.</summary>
    /// <inheritdoc cref="Load(string)" path="/exception"/>
    public static ModelConfig Read(string path)
    {
        JsonDocument document;
        try { document = JsonDocument.Parse(File.ReadAllBytes(path)); }
        catch (JsonException e) { throw new UserInputException($"{path}: not valid JSON (line {e.LineNumber + 1}). Restore the file from the original checkpoint.", e); }
        using (document)
        {
            if (document.RootElement.ValueKind != JsonValueKind.Object) throw new UnsupportedCheckpointException($"{path}: expected a JSON object.");
            return Read(new ConfigReader(path, document.RootElement));
        }
    }

    private static ModelConfig Read(ConfigReader reader)
    {
        var family = reader.String("model_type");
        if (!Families.Contains(family))
            throw reader.Unsupported("model_type", family, $"the supported families are {string.Join(", ", Families)}");
        if (reader.Has("quantization_config")) throw reader.Unsupported("quantization_config", "present", "the weights are quantised; use the unquantised checkpoint");
        var architecture = reader.Strings("architectures");
        var expected = family switch { "llama" => "LlamaForCausalLM", "mistral" => "MistralForCausalLM", "qwen2" => "Qwen2ForCausalLM", _ => "Qwen3ForCausalLM" };
        if (architecture.Count > 0 && !architecture.Contains(expected))
            throw reader.Unsupported("architectures", string.Join(", ", architecture), $"a {family} model needs {expected}");
        var activation = reader.String("hidden_act", "silu");
        if (activation is not ("silu" or "swish")) throw reader.Unsupported("hidden_act", activation, "the supported activation is silu");
        reader.RequireOneOf("pretraining_tp", 1);
        reader.RequireOneOf("attention_dropout", 0);

        var hidden = reader.PositiveInt("hidden_size");
        var heads = reader.PositiveInt("num_attention_heads");
        var keyValueHeads = reader.PositiveInt("num_key_value_heads", heads);
        var headSize = reader.PositiveInt("head_dim", family == "qwen3" ? 128 : hidden / heads);
        if (heads % keyValueHeads != 0) throw reader.Unsupported("num_key_value_heads", $"{keyValueHeads}", $"it must divide num_attention_heads ({heads})");
        if (headSize % 2 != 0) throw reader.Unsupported("head_dim", $"{headSize}", "rotary embedding needs an even head size");
        var layers = reader.PositiveInt("num_hidden_layers");
        var maxPositions = reader.PositiveInt("max_position_embeddings", 2048);
        var attentionBias = reader.Bool("attention_bias", false);
        var config = new ModelConfig
        {
            ModelType = family,
            VocabularySize = reader.PositiveInt("vocab_size"),
            HiddenSize = hidden,
            IntermediateSize = reader.PositiveInt("intermediate_size"),
            LayerCount = layers,
            HeadCount = heads,
            KeyValueHeadCount = keyValueHeads,
            HeadSize = headSize,
            NormEpsilon = reader.Double("rms_norm_eps", 1e-6),
            MaxPositions = maxPositions,
            TiedEmbeddings = reader.Bool("tie_word_embeddings", false),
            QueryKeyValueBias = family == "qwen2" || attentionBias,
            OutputBias = family != "qwen2" && attentionBias,
            MlpBias = reader.Bool("mlp_bias", false),
            QueryKeyNorm = family == "qwen3",
            Rope = RopeConfig.Read(reader, maxPositions),
            SlidingWindows = ReadWindows(reader, family, layers),
            DeclaredDType = reader.StringOrNull("dtype") ?? reader.StringOrNull("torch_dtype"),
            EosTokenIds = reader.Ints("eos_token_id"),
        };
        reader.RefuseUnknownKeys();
        return config;
    }

    private static int?[] ReadWindows(ConfigReader reader, string family, int layers)
    {
        var window = reader.PositiveIntOrNull("sliding_window");
        var firstSliding = reader.IntOrNull("max_window_layers") ?? layers;
        var useWindow = reader.Bool("use_sliding_window", false);
        var types = reader.Strings("layer_types");
        foreach (var type in types.Where(type => type is not ("full_attention" or "sliding_attention")))
            throw reader.Unsupported("layer_types", type, "known are full_attention and sliding_attention");
        if (types.Count > 0 && types.Count != layers) throw reader.Unsupported("layer_types", $"{types.Count} entries", $"num_hidden_layers is {layers}");
        return [.. Enumerable.Range(0, layers).Select(layer => family switch
        {
            "llama" => null,
            "mistral" => window,
            _ when types.Count > 0 => types[layer] == "sliding_attention" ? window : null,
            _ => useWindow && layer >= firstSliding ? window : null,
        })];
    }
}
