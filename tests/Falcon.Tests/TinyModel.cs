using System.Globalization;
using Falcon.Checkpoints.Safetensors;
using Falcon.Models;
using Falcon.Models.Families;
using TorchSharp;

namespace Falcon.Tests;

/// <summary>Writes a Llama-shaped model directory with random weights and a real tokenizer of 602 tokens.</summary>
internal static class TinyModel
{
    private const int Vocabulary = 602;
    private const string Tokenizer = "tiny-bytelevel-gpt2";

    public static string Write(string directory, long seed, int maxPositions = 64)
    {
        var source = Path.Combine(Fixtures.RepositoryRoot, "tests", "fixtures", "tokenizers", "tiny", Tokenizer, "tokenizer.json");
        Directory.CreateDirectory(directory);
        File.Copy(source, Path.Combine(directory, "tokenizer.json"));
        File.WriteAllText(Path.Combine(directory, "tokenizer_config.json"), """{"eos_token": "<|endoftext|>", "pad_token": "<|pad|>"}""");
        File.WriteAllText(
            Path.Combine(directory, "config.json"),
            string.Create(
                CultureInfo.InvariantCulture,
                $$"""
                {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "hidden_size": 32,
                 "intermediate_size": 48, "num_hidden_layers": 2,
                 "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": {{maxPositions}},
                 "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
                 "tie_word_embeddings": true, "torch_dtype": "float32",
                 "vocab_size": {{Vocabulary}}, "attention_bias": false, "mlp_bias": false}
                """
            )
        );
        using var scope = torch.NewDisposeScope();
        using var generator = new torch.Generator((ulong)seed);
        var sources = WeightNames.Expected(ModelConfig.Load(directory)).Select(weight =>
        {
            var values = weight.Shape.Length == 1 ? torch.ones(weight.Shape) : torch.randn(weight.Shape, generator: generator) * 0.3;
            return new SafetensorsSource(weight.Name, "F32", weight.Shape, stream => TensorBytes.Write(values, stream));
        }).ToList();
        SafetensorsWriter.Write(Path.Combine(directory, "model.safetensors"), sources);
        return directory;
    }
}
