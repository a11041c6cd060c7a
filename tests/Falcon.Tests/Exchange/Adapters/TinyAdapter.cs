using System.Text.Json;
using System.Text.Json.Nodes;
using Falcon.Checkpoints.Safetensors;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Tests.Exchange.Adapters;

/// <summary>A LoRA adapter for a tiny checkpoint, in the layout of PEFT, whose configuration and tensors a test changes.</summary>
internal sealed class TinyAdapter
{
    public const string Prefix = "base_model.model.";

    private readonly SeededRandom _random = new(3, "tiny adapter");

    /// <summary>Rank 2 and alpha 4 on q_proj and down_proj.</summary>
    public JsonObject Config { get; } =
        new()
        {
            ["alpha_pattern"] = new JsonObject(),
            ["bias"] = "none",
            ["fan_in_fan_out"] = false,
            ["init_lora_weights"] = true,
            ["lora_alpha"] = 4,
            ["lora_dropout"] = 0.1,
            ["peft_type"] = "LORA",
            ["r"] = 2,
            ["rank_pattern"] = new JsonObject(),
            ["target_modules"] = new JsonArray("q_proj", "down_proj"),
            ["task_type"] = "CAUSAL_LM",
            ["use_dora"] = false,
            ["use_rslora"] = false,
        };

    /// <summary>The tensors by name, without the prefix.</summary>
    public Dictionary<string, (float[] Values, long[] Shape)> Tensors { get; } = [];

    /// <summary>An adapter on the modules that the configuration names.</summary>
    /// <param name="layers">The layers with factors.</param>
    public static TinyAdapter Usual(params int[] layers)
    {
        var adapter = new TinyAdapter();
        foreach (var layer in layers.Length > 0 ? layers : [.. Enumerable.Range(0, TinyCheckpoint.Layers)])
        {
            adapter.AddFactors($"model.layers.{layer}.self_attn.q_proj", 2, 16, 16);
            adapter.AddFactors($"model.layers.{layer}.mlp.down_proj", 2, 16, 24);
        }

        return adapter;
    }

    /// <summary>Adds both factors of a matrix.</summary>
    public void AddFactors(string module, int rank, long outputs, long inputs)
    {
        Add($"{module}.lora_A.weight", rank, inputs);
        Add($"{module}.lora_B.weight", outputs, rank);
    }

    /// <summary>Adds a tensor of random values.</summary>
    public void Add(string name, params long[] shape) =>
        Tensors[name] = (
            [.. Enumerable.Range(0, (int)shape.Aggregate(1L, (a, b) => a * b)).Select(_ => (float)(0.2 * _random.NextGaussian()))],
            shape
        );

    /// <summary>Writes the folder.</summary>
    public string Write(string directory)
    {
        Directory.CreateDirectory(directory);
        File.WriteAllText(
            Path.Combine(directory, "adapter_config.json"),
            Config.ToJsonString(new JsonSerializerOptions { WriteIndented = true })
        );
        SafetensorsWriter.Write(
            Path.Combine(directory, "adapter_model.safetensors"),
            [.. Tensors.Select(item => new SafetensorsSource(Prefix + item.Key, "F32", item.Value.Shape, stream =>
                {
                    using var scope = NewDisposeScope();
                    TensorBytes.Write(tensor(item.Value.Values, item.Value.Shape), stream);
                }))]
        );
        return directory;
    }

    /// <summary>The product B A of a module, computed by three loops in double.</summary>
    public double[,] Product(string module)
    {
        var (a, aShape) = Tensors[$"{module}.lora_A.weight"];
        var (b, bShape) = Tensors[$"{module}.lora_B.weight"];
        var (rank, inputs, outputs) = ((int)aShape[0], (int)aShape[1], (int)bShape[0]);
        var product = new double[outputs, inputs];
        for (var o = 0; o < outputs; o++)
            for (var i = 0; i < inputs; i++)
                for (var r = 0; r < rank; r++)
                    product[o, i] += (double)b[(o * rank) + r] * a[(r * inputs) + i];
        return product;
    }
}
