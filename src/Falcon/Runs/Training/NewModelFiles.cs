using System.Text.Json.Nodes;
using Falcon.Checkpoints.Safetensors;
using Falcon.Models;
using Falcon.Models.Families;
using Falcon.Runs.Configuration;
using Falcon.Runtime;
using Falcon.Tokenization;
using static TorchSharp.torch;

namespace Falcon.Runs.Training;

/// <summary>The files of a new model directory, in the Hugging Face layout, and its initial weights.</summary>
internal static class NewModelFiles
{
    private const string EndOfText = "<|endoftext|>";
    private const string Padding = "<|pad|>";
    private const double InitialDeviation = 0.02;
    private static readonly string[] TokenizerNames =
        ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "tokenizer.model", "chat_template.jinja"];

    /// <summary>Writes the tokenizer's files, trained on texts or copied from another model.</summary>
    public static void WriteTokenizer(NewTokenizerConfig settings, IEnumerable<string> texts, int maxPositions, string directory)
    {
        if (settings.From is { } source)
        {
            var tokenizer = HfTokenizer.Load(source); // refuses an unsupported tokenizer
            foreach (var name in TokenizerNames.Where(name => File.Exists(Path.Combine(source, name))))
                File.Copy(Path.Combine(source, name), Path.Combine(directory, name));
            NameSpecialTokens(tokenizer, Path.Combine(directory, TokenizerNames[1]));
            return;
        }

        Write(directory, TokenizerNames[0], BytePairTrainer.Train(texts, settings.VocabularySize, [EndOfText, Padding]));
        Write(directory, TokenizerNames[1], BytePairTrainer.Configuration(EndOfText, padToken: Padding, modelMaxLength: maxPositions));
        Write(directory, TokenizerNames[2], new JsonObject { ["eos_token"] = EndOfText, ["pad_token"] = Padding });
    }

    // Special tokens may be named in files of the other model that are not copied, such as its config.json.
    private static void NameSpecialTokens(HfTokenizer tokenizer, string path)
    {
        var configuration = File.Exists(path) ? JsonNode.Parse(File.ReadAllText(path))!.AsObject() : [];
        var changed = false;
        foreach (var (name, token) in new[] { ("bos_token", tokenizer.BosToken), ("eos_token", tokenizer.EosToken) })
            if (token is not null && configuration[name] is null)
            {
                configuration[name] = token;
                changed = true;
            }

        if (changed) File.WriteAllText(path, configuration.ToJsonString(ResultJson.Options) + "\n");
    }

    /// <summary>Writes config.json and generation_config.json; reads config.json back, which refuses unsupported settings.</summary>
    public static ModelConfig WriteConfig(NewModelConfig model, HfTokenizer tokenizer, string directory)
    {
        // The Hugging Face library assumes other ids where these keys are absent, so they are written even where there is no such token.
        Write(
            directory,
            "config.json",
            new JsonObject
            {
                ["architectures"] = new JsonArray(
                    model.Family switch
                    {
                        "mistral" => "MistralForCausalLM",
                        "qwen2" => "Qwen2ForCausalLM",
                        "qwen3" => "Qwen3ForCausalLM",
                        _ => "LlamaForCausalLM",
                    }
                ),
                ["model_type"] = model.Family,
                ["vocab_size"] = tokenizer.VocabularySize,
                ["hidden_size"] = model.HiddenSize,
                ["intermediate_size"] = model.IntermediateSize,
                ["num_hidden_layers"] = model.Layers,
                ["num_attention_heads"] = model.Heads,
                ["num_key_value_heads"] = model.KeyValueHeads,
                ["head_dim"] = model.HiddenSize / model.Heads,
                ["max_position_embeddings"] = model.MaxPositions,
                ["hidden_act"] = "silu",
                ["initializer_range"] = InitialDeviation,
                ["rms_norm_eps"] = 1e-6,
                ["rope_theta"] = 10000.0,
                ["tie_word_embeddings"] = model.TiedEmbeddings,
                ["bos_token_id"] = tokenizer.BosId,
                ["eos_token_id"] = tokenizer.EosId,
                ["pad_token_id"] = tokenizer.PadId,
                ["torch_dtype"] = model.Dtype,
            }
        );
        Write(
            directory,
            "generation_config.json",
            new JsonObject
            {
                ["bos_token_id"] = tokenizer.BosId,
                ["eos_token_id"] = tokenizer.EosId,
                ["pad_token_id"] = tokenizer.PadId,
            }
        );
        return ModelConfig.Load(directory);
    }

    /// <summary>
    /// Initial weights, float32. Matrices are normal with mean 0 and standard deviation 0.02, divided by sqrt(2 · layers) for those that
    /// write to the residual stream (Radford et al., "Language Models are Unsupervised Multitask Learners", 2019, section 2.3). Norms are
    /// 1, biases 0. The numbers are the same on every machine.
    /// </summary>
    public static Weights Initialise(ModelConfig config, ulong seed, Device device)
    {
        using var scope = NewDisposeScope();
        Dictionary<string, Tensor> weights = [];
        foreach (var (name, shape) in WeightNames.Expected(config))
        {
            var random = new SeededRandom(seed, $"initial weights {name}");
            var writesToStream =
                name.EndsWith("o_proj.weight", StringComparison.Ordinal) || name.EndsWith("down_proj.weight", StringComparison.Ordinal);
            var deviation = writesToStream ? InitialDeviation / Math.Sqrt(2 * config.LayerCount) : InitialDeviation;
            var values = new float[shape.Aggregate(1L, (product, size) => product * size)];
            if (shape.Length > 1) for (var i = 0; i < values.Length; i++) values[i] = (float)(deviation * random.NextGaussian());
            else if (!name.EndsWith(".bias", StringComparison.Ordinal)) Array.Fill(values, 1f);
            weights.Add(name, tensor(values, shape, float32, device).DetachFromDisposeScope());
        }

        return new Weights(weights);
    }

    /// <summary>Writes model.safetensors in the given dtype (bfloat16, float16 or float32).</summary>
    /// <exception cref="NumericalFailureException">A weight is not finite after rounding.</exception>
    public static void WriteWeights(IReadOnlyDictionary<string, Tensor> weights, string dtype, string directory)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var type = dtype switch { "float16" => float16, "float32" => float32, _ => bfloat16 };
        List<SafetensorsSource> sources = [];
        foreach (var (name, weight) in weights)
        {
            var stored = weight.detach().cpu().to(type).contiguous();
            if (!stored.isfinite().all().item<bool>())
                throw new NumericalFailureException($"\"{name}\" holds a value that is not finite in {dtype}; nothing was saved.");
            sources.Add(new(name, TensorBytes.DTypeName(type), stored.shape, stream => TensorBytes.Write(stored, stream)));
        }

        SafetensorsWriter.Write(Path.Combine(directory, "model.safetensors"), sources);
    }

    private static void Write(string directory, string name, string text) => File.WriteAllText(Path.Combine(directory, name), text);

    private static void Write(string directory, string name, JsonObject value)
    {
        foreach (var key in value.Where(item => item.Value is null).Select(item => item.Key).ToList())
            if (key is not ("bos_token_id" or "eos_token_id")) value.Remove(key);
        Write(directory, name, value.ToJsonString(ResultJson.Options) + "\n");
    }
}
