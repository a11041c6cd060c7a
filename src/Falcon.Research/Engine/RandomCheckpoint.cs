using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using Falcon.Checkpoints.Safetensors;
using Falcon.Models;
using Falcon.Models.Families;
using Falcon.Runtime;
using Falcon.Tokenization;

namespace Falcon.Research.Engine;

/// <summary>What <see cref="RandomCheckpoint.Write"/> wrote.</summary>
/// <param name="Shape">Name of the shape.</param>
/// <param name="Directory">The model directory, as a full path.</param>
/// <param name="Layers">Number of decoder layers.</param>
/// <param name="Parameters">Number of weights.</param>
/// <param name="Bytes">Bytes of the weight files.</param>
/// <param name="Shards">Number of weight files.</param>
/// <param name="Seed">Seed of the weights.</param>
public sealed record RandomCheckpointRecord(
    string Shape,
    string Directory,
    int Layers,
    long Parameters,
    long Bytes,
    int Shards,
    ulong Seed
);

/// <summary>
/// Writes Hugging Face directories with the shape of known models and random weights, for measurements of time and memory: sharded bfloat16
/// safetensors, config.json and a byte-level tokenizer. Weights are written as they are drawn, so a model of any size needs a few megabytes
/// of memory.
/// </summary>
public static class RandomCheckpoint
{
    /// <summary>Longest shard, in bytes of tensors; a larger tensor has a shard of its own.</summary>
    public const long DefaultShardBytes = 2L << 30;

    private const string EndOfText = "<|endoftext|>";
    private const string Padding = "<|pad|>";
    private const double Deviation = 0.02;
    private const int Draws = 1 << 16;
    private const int ChunkElements = 1 << 20;

    /// <summary>The names of the known shapes.</summary>
    public static IReadOnlyList<string> Shapes { get; } = ["demo", "llama-1b", "mistral-7b"];

    /// <summary>
    /// Draws a checkpoint and writes it. Every matrix is normal with deviation 0.02, those that write to the residual stream divided by
    /// sqrt(2 layers); norms are 1. Each weight is one of 65,536 normal draws of its own tensor, chosen at random: as good as normal for a
    /// measurement, and drawn at the speed of a disk.
    /// </summary>
    /// <param name="shape">One of <see cref="Shapes"/>: the demo model's, Llama-3.2-1B's or Mistral-7B-v0.3's.</param>
    /// <param name="directory">The directory to write; it appears whole or not at all.</param>
    /// <param name="seed">Same seed, same bytes, on every machine.</param>
    /// <param name="layers">Another number of layers; null for that of the shape.</param>
    /// <param name="context">Log and cancellation.</param>
    /// <param name="shardBytes">Longest shard.</param>
    /// <exception cref="UserInputException">The shape is not known, the directory exists, or the disk is too small.</exception>
    /// <exception cref="OperationCanceledException">Interrupted; nothing is written.</exception>
    public static RandomCheckpointRecord Write(
        string shape,
        string directory,
        ulong seed,
        int? layers,
        RunContext context,
        long shardBytes = DefaultShardBytes
    )
    {
        using var output = RunDirectory.Create(directory);
        WriteText(output, "config.json", Configuration(shape, layers));
        var config = ModelConfig.Load(output.WorkingPath);
        WriteTokenizer(output, config);
        var shards = Shards(config, shardBytes);
        var bytes = shards.SelectMany(shard => shard).Sum(tensor => 2 * Count(tensor.Shape));
        output.RequireFreeSpace(bytes, "the model");
        var map = new JsonObject();
        for (var i = 0; i < shards.Count; i++)
        {
            var file = string.Create(CultureInfo.InvariantCulture, $"model-{i + 1:00000}-of-{shards.Count:00000}.safetensors");
            SafetensorsWriter.Write(
                output.PathOf(file),
                [.. shards[i].Select(tensor => Source(tensor.Name, tensor.Shape, config, seed, context.Cancellation))]
            );
            foreach (var (name, _) in shards[i])
                map.Add(name, file);
            context.Log.Progress("writing", i + 1, shards.Count);
        }

        WriteText(
            output,
            "model.safetensors.index.json",
            new JsonObject
            {
                ["metadata"] = new JsonObject { ["total_size"] = bytes },
                ["weight_map"] = map,
            }
        );
        output.Commit();
        return new RandomCheckpointRecord(shape, output.FinalPath, config.LayerCount, bytes / 2, bytes, shards.Count, seed);
    }

    /// <summary>The architecture of a shape, without a file.</summary>
    /// <exception cref="UserInputException">The shape is not known.</exception>
    public static ModelConfig Architecture(string shape, int? layers = null)
    {
        var path = Path.Combine(Path.GetTempPath(), $"falcon-shape-{Guid.NewGuid():N}.json");
        try
        {
            File.WriteAllText(path, Configuration(shape, layers).ToJsonString());
            return ModelConfig.Read(path);
        }
        finally
        {
            File.Delete(path);
        }
    }

    private static JsonObject Configuration(string shape, int? layers)
    {
        var config = shape switch
        {
            "demo" => Decoder(
                "llama",
                vocabulary: 1024,
                hidden: 128,
                inner: 384,
                layers ?? 6,
                heads: 4,
                keyValueHeads: 4,
                positions: 256,
                theta: 10000,
                epsilon: 1e-6,
                tied: true
            ),
            "llama-1b" => Decoder(
                "llama",
                vocabulary: 128256,
                hidden: 2048,
                inner: 8192,
                layers ?? 16,
                heads: 32,
                keyValueHeads: 8,
                positions: 131072,
                theta: 500000,
                epsilon: 1e-5,
                tied: true
            ),
            "mistral-7b" => Decoder(
                "mistral",
                vocabulary: 32768,
                hidden: 4096,
                inner: 14336,
                layers ?? 32,
                heads: 32,
                keyValueHeads: 8,
                positions: 32768,
                theta: 1000000,
                epsilon: 1e-5,
                tied: false
            ),
            _ => throw new UserInputException($"--shape {shape}: not known. Use one of {string.Join(", ", Shapes)}."),
        };
        if (shape == "llama-1b")
            config["rope_scaling"] = new JsonObject
            {
                ["rope_type"] = "llama3",
                ["factor"] = 32.0,
                ["low_freq_factor"] = 1.0,
                ["high_freq_factor"] = 4.0,
                ["original_max_position_embeddings"] = 8192,
            };
        return config;
    }

    private static JsonObject Decoder(
        string family,
        int vocabulary,
        int hidden,
        int inner,
        int layers,
        int heads,
        int keyValueHeads,
        int positions,
        double theta,
        double epsilon,
        bool tied
    ) =>
        new()
        {
            ["architectures"] = new JsonArray(family == "mistral" ? "MistralForCausalLM" : "LlamaForCausalLM"),
            ["model_type"] = family,
            ["vocab_size"] = vocabulary,
            ["hidden_size"] = hidden,
            ["intermediate_size"] = inner,
            ["num_hidden_layers"] = layers,
            ["num_attention_heads"] = heads,
            ["num_key_value_heads"] = keyValueHeads,
            ["head_dim"] = hidden / heads,
            ["max_position_embeddings"] = positions,
            ["hidden_act"] = "silu",
            ["initializer_range"] = Deviation,
            ["rms_norm_eps"] = epsilon,
            ["rope_theta"] = theta,
            ["tie_word_embeddings"] = tied,
            ["eos_token_id"] = 0,
            ["pad_token_id"] = 1,
            ["torch_dtype"] = "bfloat16",
        };

    // The two special tokens and the 256 bytes: any text can be encoded, and every id is a row of the embedding.
    private static void WriteTokenizer(RunDirectory output, ModelConfig config)
    {
        File.WriteAllText(output.PathOf("tokenizer.json"), BytePairTrainer.Train([], 258, [EndOfText, Padding]));
        File.WriteAllText(
            output.PathOf("tokenizer_config.json"),
            BytePairTrainer.Configuration(EndOfText, padToken: Padding, modelMaxLength: config.MaxPositions)
        );
        WriteText(output, "special_tokens_map.json", new JsonObject { ["eos_token"] = EndOfText, ["pad_token"] = Padding });
        WriteText(output, "generation_config.json", new JsonObject { ["eos_token_id"] = 0, ["pad_token_id"] = 1 });
    }

    private static void WriteText(RunDirectory output, string name, JsonObject value) =>
        File.WriteAllText(output.PathOf(name), value.ToJsonString(ResultJson.Options) + "\n");

    private static List<List<(string Name, long[] Shape)>> Shards(ModelConfig config, long shardBytes)
    {
        List<List<(string Name, long[] Shape)>> shards = [[]];
        long filled = 0;
        foreach (var tensor in WeightNames.Expected(config))
        {
            var size = 2 * Count(tensor.Shape);
            if (filled > 0 && filled + size > shardBytes)
            {
                shards.Add([]);
                filled = 0;
            }

            shards[^1].Add(tensor);
            filled += size;
        }

        return shards;
    }

    private static SafetensorsSource Source(string name, long[] shape, ModelConfig config, ulong seed, CancellationToken cancellation)
    {
        var writesToStream =
            name.EndsWith("o_proj.weight", StringComparison.Ordinal) || name.EndsWith("down_proj.weight", StringComparison.Ordinal);
        var deviation = writesToStream ? Deviation / Math.Sqrt(2 * config.LayerCount) : Deviation;
        return new SafetensorsSource(name, "BF16", shape, stream =>
            WriteValues(
                stream,
                Count(shape),
                shape.Length == 1 ? null : deviation,
                new SeededRandom(seed, $"random weights {name}"),
                cancellation
            )
        );
    }

    /// <summary>Writes normal values of this deviation, or ones where it is null.</summary>
    private static void WriteValues(Stream stream, long count, double? deviation, SeededRandom random, CancellationToken cancellation)
    {
        var draws = new ushort[Draws];
        for (var i = 0; i < draws.Length; i++)
            draws[i] = TensorBytes.NearestBfloat16((float)(deviation is { } scale ? scale * random.NextGaussian() : 1));
        var chunk = new ushort[Math.Min(count, ChunkElements)];
        for (var done = 0L; done < count; done += chunk.Length)
        {
            cancellation.ThrowIfCancellationRequested();
            var part = chunk.AsSpan(0, (int)Math.Min(chunk.Length, count - done));
            for (var i = 0; i < part.Length; i += 4)
            {
                var bits = random.NextUInt64();
                for (var k = i; k < Math.Min(i + 4, part.Length); k++, bits >>= 16) part[k] = draws[bits & (Draws - 1)];
            }

            stream.Write(MemoryMarshal.AsBytes(part));
        }
    }

    private static long Count(long[] shape) => shape.Aggregate(1L, (product, size) => product * size);
}
