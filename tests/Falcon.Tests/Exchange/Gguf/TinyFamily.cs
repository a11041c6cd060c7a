using System.Text.Json.Nodes;
using Falcon.Checkpoints.Safetensors;
using Falcon.Models;
using Falcon.Models.Families;
using Falcon.Tokenization;
using static TorchSharp.torch;

namespace Falcon.Tests.Exchange.Gguf;

/// <summary>Model directories of random weights, one of each kind that is exported to GGUF, with the tests' own tokenizers.</summary>
internal static class TinyFamily
{
    private const string Template =
        "{% for m in messages %}{{ '<|' + m['role'] + '|>\\n' + m['content'] + '<|end|>\\n' }}{% endfor %}"
        + "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}";

    private const string Scaled =
        """{"rope_type": "longrope", "short_factor": [1, 1.1, 1.2, 1.3, 1.5, 1.7, 2, 2.5], "long_factor": [1, 2, 3, 4, 6, 8, 12, 16]}""";

    private static readonly Dictionary<string, (string Tokenizer, string Config)> Kinds = new()
    {
        ["llama"] = ("tiny-bytelevel-smollm", """{"model_type": "llama", "tie_word_embeddings": true, "head_dim": 24}"""),
        ["llama-biases"] = ("tiny-bytelevel-gpt2", """{"model_type": "llama", "attention_bias": true, "mlp_bias": true}"""),
        ["llama-llama3"] = (
            "tiny-bytelevel-llama3",
            """
            {"model_type": "llama", "rope_theta": 500000.0, "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
             "high_freq_factor": 4.0, "original_max_position_embeddings": 64}}
            """
        ),
        ["llama-linear"] = ("tiny-bytelevel-gpt2", """{"model_type": "llama", "rope_scaling": {"rope_type": "linear", "factor": 2.5}}"""),
        ["llama-yarn"] = (
            "tiny-bytelevel-gpt2",
            """{"model_type": "llama", "rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}}"""
        ),
        ["mistral"] = ("tiny-bytefallback-llama2", """{"model_type": "mistral", "sliding_window": null}"""),
        ["qwen2"] = ("tiny-bytelevel-qwen", """{"model_type": "qwen2", "tie_word_embeddings": true}"""),
        ["qwen3"] = ("tiny-bytelevel-qwen", """{"model_type": "qwen3", "head_dim": 24}"""),
        ["smollm3"] = ("tiny-bytelevel-llama3", """{"model_type": "smollm3", "num_hidden_layers": 5, "tie_word_embeddings": true}"""),
        ["gemma2"] = (
            "tiny-bytefallback-gemma",
            """
            {"model_type": "gemma2", "num_hidden_layers": 3, "head_dim": 24, "query_pre_attn_scalar": 24, "sliding_window": 8,
             "tie_word_embeddings": true}
            """
        ),
        ["gemma3"] = (
            "tiny-bytefallback-gemma",
            """
            {"model_type": "gemma3_text", "num_hidden_layers": 7, "head_dim": 24, "query_pre_attn_scalar": 24, "sliding_window": 8,
             "tie_word_embeddings": true, "rope_theta": 1000000.0, "rope_local_base_freq": 10000.0}
            """
        ),
        ["phi3"] = ("tiny-bytefallback-phi3", """{"model_type": "phi3", "sliding_window": null}"""),
        ["phi3-partial"] = ("tiny-bytefallback-phi3", """{"model_type": "phi3", "sliding_window": null, "partial_rotary_factor": 0.5}"""),
        ["phi3-longrope"] = (
            "tiny-bytefallback-phi3",
            $$"""
            {"model_type": "phi3", "sliding_window": null, "max_position_embeddings": 1024, "original_max_position_embeddings": 256,
             "rope_scaling": {{Scaled}}}
            """
        ),
        ["gpt2"] = (
            "tiny-bytelevel-gpt2",
            """{"model_type": "gpt2", "n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 256, "n_inner": 96}"""
        ),
        ["gpt_neox"] = ("tiny-bytelevel-neox", """{"model_type": "gpt_neox", "rotary_pct": 0.5}"""),
        ["gpt_neox-sequential"] = (
            "tiny-bytelevel-neox",
            """
            {"model_type": "gpt_neox", "rotary_pct": 0.25, "use_parallel_residual": false, "tie_word_embeddings": true}
            """
        ),
    };

    /// <summary>The names of the kinds.</summary>
    public static IReadOnlyCollection<string> Names => Kinds.Keys;

    /// <summary>Writes a directory.</summary>
    /// <param name="directory">Created.</param>
    /// <param name="name">One of <see cref="Names"/>.</param>
    /// <param name="change">Changes the configuration.</param>
    /// <param name="dtype">Stored number type.</param>
    /// <returns>The directory.</returns>
    public static string Write(string directory, string name, Action<JsonObject>? change = null, ScalarType dtype = ScalarType.Float32)
    {
        var (tokenizer, given) = Kinds[name];
        Directory.CreateDirectory(directory);
        var source = Path.Combine(Fixtures.RepositoryRoot, "tests", "fixtures", "tokenizers", "tiny", tokenizer, "tokenizer.json");
        File.Copy(source, Path.Combine(directory, "tokenizer.json"));
        var isSentencePiece = tokenizer.StartsWith("tiny-bytefallback", StringComparison.Ordinal);
        if (isSentencePiece)
            CompleteMerges(Path.Combine(directory, "tokenizer.json"));
        var hasTurns = File.ReadAllText(source).Contains("<|end|>", StringComparison.Ordinal);
        File.WriteAllText(
            Path.Combine(directory, "tokenizer_config.json"),
            new JsonObject
            {
                ["tokenizer_class"] = "PreTrainedTokenizerFast",
                ["bos_token"] =
                    isSentencePiece ? "<s>"
                    : hasTurns ? "<|begin|>"
                    : null,
                ["eos_token"] = isSentencePiece ? "</s>" : "<|endoftext|>",
                ["unk_token"] = isSentencePiece ? "<unk>" : null,
            }.ToJsonString()
        );
        if (hasTurns)
            File.WriteAllText(Path.Combine(directory, "chat_template.jinja"), Template);

        var own = JsonNode.Parse(given)!.AsObject();
        var config = new JsonObject { ["vocab_size"] = isSentencePiece ? 810 : 612 };
        if (name != "gpt2")
            foreach (
                var (key, value) in new (string, JsonNode)[]
                {
                    ("hidden_size", 64),
                    ("intermediate_size", 96),
                    ("num_hidden_layers", 2),
                    ("num_attention_heads", 4),
                    ("max_position_embeddings", 256),
                }
            )
                config[key] = value;
        if (!name.StartsWith("gpt", StringComparison.Ordinal))
            (config["num_key_value_heads"], config["rms_norm_eps"]) = (2, 1e-5);
        foreach (var (key, value) in own)
            config[key] = value?.DeepClone();
        change?.Invoke(config);
        File.WriteAllText(Path.Combine(directory, "config.json"), config.ToJsonString());
        WriteWeights(directory, dtype);
        return directory;
    }

    // The tests' tokenizers were trained as byte pairs; SentencePiece merges every two pieces that are a third.
    private static void CompleteMerges(string path)
    {
        var tokenizer = JsonNode.Parse(File.ReadAllText(path))!.AsObject();
        var model = tokenizer["model"]!.AsObject();
        Dictionary<string, int> ranks = [];
        foreach (var merge in model["merges"]!.AsArray())
            ranks.TryAdd(
                merge is JsonArray pair ? $"{pair[0]}{pair[1]}" : merge!.GetValue<string>().Replace(" ", "", StringComparison.Ordinal),
                ranks.Count
            );
        var added = tokenizer["added_tokens"]!.AsArray().Select(token => token!["content"]!.GetValue<string>()).ToHashSet();
        SentencePiece[] pieces =
        [
            .. model["vocab"]!
                .AsObject()
                .OrderBy(token => token.Value!.GetValue<int>())
                .Select(token => new SentencePiece(
                    token.Key,
                    -ranks.GetValueOrDefault(token.Key, 100_000 + token.Value!.GetValue<int>()),
                    added.Contains(token.Key) && token.Key[0] == '<' || token.Key.StartsWith("<0x", StringComparison.Ordinal)
                        ? SentencePieceType.Control
                        : SentencePieceType.Normal
                )),
        ];
        model["merges"] = new JsonArray([
            .. SentencePieceConversion.Merges(pieces).Select(pair => (JsonNode)new JsonArray(pair.Left, pair.Right)),
        ]);
        File.WriteAllText(path, tokenizer.ToJsonString());
    }

    private static void WriteWeights(string directory, ScalarType dtype)
    {
        var config = ModelConfig.Load(directory);
        var addsOne = config.Architecture.Norm == NormKind.RootMeanSquarePlusOne;
        using var scope = NewDisposeScope();
        using var generator = new Generator(7);
        List<SafetensorsSource> sources = [];
        foreach (var (name, shape) in WeightNames.Expected(config))
        {
            var isNorm = shape.Length == 1 && name.EndsWith(".weight", StringComparison.Ordinal);
            var values = (randn(shape, generator: generator) * (shape.Length == 1 ? 0.1 : 0.25)).add_(isNorm && !addsOne ? 1 : 0).to(dtype);
            sources.Add(new SafetensorsSource(name, TensorBytes.DTypeName(dtype), shape, stream => TensorBytes.Write(values, stream)));
        }

        SafetensorsWriter.Write(Path.Combine(directory, "model.safetensors"), sources);
    }
}
