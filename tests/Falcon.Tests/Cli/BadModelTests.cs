using System.Text.Json.Nodes;
using Falcon.Checkpoints.Safetensors;

namespace Falcon.Tests.Cli;

/// <summary>Model directories that are damaged, incomplete or of an unsupported kind.</summary>
public sealed class BadModelTests : BadInputTest
{
    [Fact]
    public void Model_Missing() => Refused(["--model", Folder.At("absent")], Folder.At("absent"), "no such directory", "Give the folder");

    [Fact]
    public void Tokenizer_Missing()
    {
        File.Delete(Path.Combine(Model, "tokenizer.json"));
        Refused([], Model, "no tokenizer.json", "Copy the tokenizer files");
    }

    [Fact]
    public void Tokenizer_OfAnotherModel()
    {
        TinyCheckpoint.Edit(Model, config => config["vocab_size"] = 40);
        SafetensorsWriter.Write(Weights, [.. Rewritten(entry => entry.Name == "model.embed_tokens.weight" ? [40, 16] : entry.Shape)]);
        Refused([], "config.json is 40", "tokenizer files of the same model");
    }

    [Theory]
    [InlineData(0)]
    [InlineData(5)]
    [InlineData(200)]
    [InlineData(-1)]   // all but the last byte
    public void Safetensors_Truncated(int length)
    {
        using (var file = File.OpenWrite(Weights)) file.SetLength(length < 0 ? file.Length + length : length);
        Refused([], Weights, "not a readable safetensors file", "Copy or download");
    }

    [Fact]
    public void Safetensors_Missing()
    {
        File.Delete(Weights);
        Refused([], Model, "neither model.safetensors nor model.safetensors.index.json", "Give a directory");
    }

    [Fact]
    public void Shard_Missing()
    {
        var sharded = TinyCheckpoint.Write(Folder.At("sharded"), shards: 2);
        File.Delete(Path.Combine(sharded, "model-00002-of-00002.safetensors"));
        Refused(["--model", sharded], "model-00002-of-00002.safetensors", "not found", "Copy the missing shard");
    }

    [Fact]
    public void Config_WrongShape()
    {
        TinyCheckpoint.Edit(Model, config => config["intermediate_size"] = 32);
        Refused(
            [],
            Model,
            "model.layers.0.mlp.gate_proj.weight has shape [24, 16], config.json asks for [32, 16]",
            "and 6 more",
            "one and the same checkpoint"
        );
    }

    [Fact]
    public void Config_NotJson()
    {
        File.WriteAllText(Path.Combine(Model, "config.json"), "{\n\"model_type\": llama}");
        Refused([], "config.json", "line 2", "Restore the file");
    }

    public static TheoryData<string, string, string[]> ConfigEdits => new()
    {
        { "model_type", "\"mamba\"", ["\"model_type\" is mamba", "llama, mistral, qwen2, qwen3"] },
        { "model_type", "7", ["\"model_type\" is 7", "expected a string"] },
        { "hidden_act", "\"relu2\"", ["\"hidden_act\" is relu2", "silu"] },
        { "rope_scaling", """{"rope_type": "telepathic", "factor": 2.0}""", ["telepathic", "rope"] },
        { "logit_softcap", "30.0", ["\"logit_softcap\" is not known", "Remove it"] },
        { "hidden_size", "0", ["\"hidden_size\" is 0", "at least 1"] },
        { "vocab_size", "null", ["\"vocab_size\" is missing", "Restore"] },
        { "quantization_config", """{"quant_method": "gptq", "bits": 4}""", ["quantization_config", "unquantised checkpoint"] },
    };

    [Theory]
    [MemberData(nameof(ConfigEdits))]
    public void Config_NotSupported(string key, string value, string[] said)
    {
        TinyCheckpoint.Edit(Model, config => config[key] = JsonNode.Parse(value));
        Refused([], ["config.json", .. said]);
    }

    [Fact]
    public void Safetensors_QuantisedDType()
    {
        SafetensorsWriter.Write(
            Weights,
            [
                .. Rewritten(
                    entry => entry.Shape,
                    entry => entry.Name.EndsWith("up_proj.weight", StringComparison.Ordinal) ? "I8" : entry.DType
                ),
            ]
        );
        Refused([], "up_proj.weight has dtype I8", "F32, BF16 and F16");
    }

    [Theory]
    [InlineData("model.layers.0.mlp.down_proj.weight")]
    [InlineData("model.layers.3.self_attn.q_proj.weight")]   // above the layer: never loaded, but copied into the result
    [InlineData("model.embed_tokens.weight")]
    public void Weight_NotANumber_ExitCode3(string tensor)
    {
        long position;
        using (var file = SafetensorsFile.Open(Weights))
        {
            file.TryGetEntry(tensor, out var entry);
            position = file.DataStart + entry!.Begin + 8;
        }
        using (var stream = File.OpenWrite(Weights))
        {
            stream.Position = position;
            stream.Write(BitConverter.GetBytes(float.NaN));
        }
        RefusedWith(3, [], Weights, tensor, "1 of ", "not finite", "get an intact copy");
        RefusedWith(3, ["--layer", "auto"], Weights, tensor);
    }

    private List<SafetensorsSource> Rewritten(Func<SafetensorsEntry, long[]> shape, Func<SafetensorsEntry, string>? dtype = null)
    {
        using var file = SafetensorsFile.Open(Weights);
        return [.. file.Entries.Select(entry =>
        {
            var type = dtype?.Invoke(entry) ?? entry.DType;
            var bytes = file.Bytes(entry)[..(int)(shape(entry).Aggregate(1L, (a, b) => a * b) * (type == "I8" ? 1 : 4))].ToArray();
            return new SafetensorsSource(entry.Name, type, shape(entry), stream => stream.Write(bytes));
        })];
    }
}
