using System.Text.Json;
using System.Text.Json.Nodes;
using Falcon.Checkpoints.Safetensors;
using Falcon.Models;
using Falcon.Models.Families;
using Falcon.Runtime;
using Falcon.Tokenization;
using static TorchSharp.torch;

namespace Falcon.Tests;

/// <summary>
/// A Hugging Face model directory of a few thousand random weights with a tokenizer of single bytes, and data files that go with it.
/// </summary>
internal static class TinyCheckpoint
{
    public const int Layers = 4;

    private const string End = "<|end|>";

    /// <summary>The text of config.json: llama, 4 layers, width 16.</summary>
    public static JsonObject Config() => new()
    {
        ["model_type"] = "llama",
        ["architectures"] = new JsonArray("LlamaForCausalLM"),
        ["vocab_size"] = 257,
        ["hidden_size"] = 16,
        ["intermediate_size"] = 24,
        ["num_hidden_layers"] = Layers,
        ["num_attention_heads"] = 2,
        ["num_key_value_heads"] = 1,
        ["max_position_embeddings"] = 128,
        ["rms_norm_eps"] = 1e-5,
        ["rope_theta"] = 10000.0,
        ["hidden_act"] = "silu",
        ["tie_word_embeddings"] = true,
        ["eos_token_id"] = 0,
    };

    /// <summary>Writes the directory.</summary>
    /// <param name="directory">Created.</param>
    /// <param name="dtype">Stored number type.</param>
    /// <param name="shards">Weight files; more than one with an index.</param>
    /// <param name="tied">Whether the head is the embedding.</param>
    /// <param name="chatTemplate">A chat template, whose turns begin with &lt;s&gt; and end with &lt;|turn|&gt;; null for none.</param>
    /// <returns>The directory.</returns>
    public static string Write(
        string directory,
        ScalarType dtype = ScalarType.Float32,
        int shards = 1,
        bool tied = true,
        string? chatTemplate = null
    )
    {
        string[] special = chatTemplate is null ? [End] : [End, "<s>", "<|turn|>"];
        Directory.CreateDirectory(directory);
        File.WriteAllText(Path.Combine(directory, "config.json"), Config().ToJsonString());
        if (!tied) Edit(directory, config => config["tie_word_embeddings"] = false);
        Edit(directory, config => config["vocab_size"] = 256 + special.Length);
        File.WriteAllText(Path.Combine(directory, "tokenizer.json"), BytePairTrainer.Train([], 256 + special.Length, special));
        File.WriteAllText(
            Path.Combine(directory, "tokenizer_config.json"),
            BytePairTrainer.Configuration(End, special.ElementAtOrDefault(1), padToken: End, chatTemplate: chatTemplate)
        );
        File.WriteAllText(Path.Combine(directory, "generation_config.json"), "{\"eos_token_id\": 0}\n");
        File.WriteAllText(Path.Combine(directory, "LICENSE"), "of the test\n");
        var tensors = Tensors(ModelConfig.Load(directory), dtype);
        if (shards == 1)
        {
            SafetensorsWriter.Write(Path.Combine(directory, "model.safetensors"), tensors);
            return directory;
        }

        var map = new Dictionary<string, string>();
        var parts = tensors.Chunk((tensors.Count + shards - 1) / shards).ToList();
        for (var i = 0; i < parts.Count; i++)
        {
            var name = $"model-{i + 1:00000}-of-{parts.Count:00000}.safetensors";
            SafetensorsWriter.Write(Path.Combine(directory, name), parts[i]);
            foreach (var tensor in parts[i]) map[tensor.Name] = name;
        }

        File.WriteAllText(
            Path.Combine(directory, "model.safetensors.index.json"),
            JsonSerializer.Serialize(new { metadata = new { total_size = 0 }, weight_map = map })
        );
        return directory;
    }

    /// <summary>Changes config.json of a directory.</summary>
    public static void Edit(string directory, Action<JsonObject> change)
    {
        var path = Path.Combine(directory, "config.json");
        var config = JsonNode.Parse(File.ReadAllText(path))!.AsObject();
        change(config);
        File.WriteAllText(path, config.ToJsonString());
    }

    /// <summary>
    /// Requires a copied config.json that differs from its source in the token ids that it names explicitly, and only there.
    /// </summary>
    public static void RequireSameConfigWithTokenIds(string source, string copy)
    {
        JsonObject Read(string directory) => JsonNode.Parse(File.ReadAllText(Path.Combine(directory, "config.json")))!.AsObject();
        var (before, after) = (Read(source), Read(copy));
        foreach (var key in new[] { "bos_token_id", "eos_token_id" })
        {
            Assert.True(after.ContainsKey(key) || (after["text_config"]?.AsObject().ContainsKey(key) ?? false), key);
            if (!before.ContainsKey(key)) after.Remove(key);
        }

        Assert.Equal(before.ToJsonString(), after.ToJsonString());
    }

    /// <summary>Exchanges two tokens of a directory's tokenizer.</summary>
    public static string WithOtherTokenizer(string directory)
    {
        var path = Path.Combine(directory, "tokenizer.json");
        var file = JsonNode.Parse(File.ReadAllText(path))!;
        var vocabulary = file["model"]!["vocab"]!;
        var (a, b) = (vocabulary["a"]!.GetValue<int>(), vocabulary["b"]!.GetValue<int>());
        (vocabulary["a"], vocabulary["b"]) = (b, a);
        File.WriteAllText(path, file.ToJsonString());
        return directory;
    }

    /// <summary>A .jsonl file of questions about one subject.</summary>
    public static string Questions(string path, string subject, int count = 12)
    {
        File.WriteAllLines(
            path,
            Enumerable
                .Range(0, count)
                .Select(i =>
                    JsonSerializer.Serialize(new { question = $"What is {subject} {i}?", answer = $"It is {i * 7 % 11} {subject}." })
                )
        );
        return path;
    }

    private static List<SafetensorsSource> Tensors(ModelConfig config, ScalarType dtype)
    {
        var random = new SeededRandom(1, "tiny checkpoint");
        return
        [
            .. WeightNames
                .Expected(config)
                .Select(item =>
                {
                    var norm = item.Shape.Length == 1;
                    var values = Enumerable
                        .Range(0, (int)item.Shape.Aggregate(1L, (a, b) => a * b))
                        .Select(_ => norm ? 1f : (float)(0.3 * random.NextGaussian()))
                        .ToArray();
                    return new SafetensorsSource(item.Name, TensorBytes.DTypeName(dtype), item.Shape, stream =>
                    {
                        using var scope = NewDisposeScope();
                        TensorBytes.Write(tensor(values, item.Shape).to(dtype), stream);
                    });
                }),
        ];
    }
}
