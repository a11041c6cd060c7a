using System.Text.Json.Nodes;
using Falcon.Checkpoints.Gguf;
using Falcon.Checkpoints.Safetensors;
using Falcon.Models.Families;
using Falcon.Runtime;
using Falcon.Tokenization;

namespace Falcon.Exchange.Gguf;

/// <summary>Turns a GGUF file into a Hugging Face directory. Quantised weights become the numbers that they stand for.</summary>
public static class GgufImport
{
    /// <summary>Writes the directory: configuration, tokenizer, weights.</summary>
    /// <param name="path">The GGUF file.</param>
    /// <param name="destination">The directory; it appears whole or not at all.</param>
    /// <param name="dtype">float32, bfloat16 or float16.</param>
    /// <param name="context">Log and cancellation.</param>
    /// <exception cref="UserInputException">The file cannot be read, or holds what is not known here.</exception>
    public static GgufImportRecord Execute(string path, string destination, string dtype, RunContext context)
    {
        var stored = dtype switch
        {
            "float32" => "F32",
            "bfloat16" => "BF16",
            "float16" => "F16",
            _ => throw new UserInputException($"--dtype is '{dtype}'; it must be float32, bfloat16 or float16."),
        };
        using var file = GgufFile.Open(path);
        var tokenizer = new GgufTokenizer(file);
        var model = new GgufModel(file, tokenizer.Count);
        using var directory = RunDirectory.Create(destination);
        WriteConfig(directory, model, tokenizer, dtype);
        Write(directory, "tokenizer.json", tokenizer.Tokenizer());
        Write(directory, "tokenizer_config.json", tokenizer.Configuration(model.Positions));
        _ = ModelConfig.Load(directory.WorkingPath); // what was written is read as any model is
        _ = HfTokenizer.Load(directory.WorkingPath);

        var values = model.Tensors.Sum(tensor => tensor.Source.Count);
        directory.RequireFreeSpace(values * (stored == "F32" ? 4 : 2), "the model");
        var done = 0;
        List<SafetensorsSource> sources =
        [
            .. model.Tensors.Select(tensor => new SafetensorsSource(tensor.Name, stored, tensor.Place.Shape, stream =>
            {
                context.Cancellation.ThrowIfCancellationRequested();
                tensor.Write(file, stored, stream);
                context.Log.Progress("tensors", ++done, model.Tensors.Count);
            })),
        ];
        SafetensorsWriter.Write(directory.PathOf("model.safetensors"), sources);
        directory.Commit();
        return new GgufImportRecord(
            model.Architecture,
            values,
            model.Tensors.Count,
            model.Tensors.GroupBy(tensor => tensor.Source.Type.Name).ToDictionary(group => group.Key, group => group.Count()),
            tokenizer.Count,
            dtype,
            ContentHash.OfFile(path)
        );
    }

    private static void WriteConfig(RunDirectory directory, GgufModel model, GgufTokenizer tokenizer, string dtype)
    {
        var generation = new JsonObject();
        foreach (var (name, key) in new[] { ("bos", "bos_token_id"), ("eos", "eos_token_id"), ("padding", "pad_token_id") })
        {
            var id = tokenizer.Special(name);
            model.Config[key] = id; // null where there is none: the library would take 1 for an absent one
            generation[key] = id;
        }

        // Beside the end token a chat model has one that ends its turn.
        if (tokenizer.EndTokens() is { Count: > 1 } ends)
            generation["eos_token_id"] = new JsonArray([.. ends.Select(id => JsonValue.Create(id))]);
        model.Config["torch_dtype"] = dtype;
        Write(directory, "config.json", model.Config);
        Write(directory, "generation_config.json", generation);
    }

    private static void Write(RunDirectory directory, string name, JsonObject value) =>
        File.WriteAllText(directory.PathOf(name), value.ToJsonString(ResultJson.Options) + "\n");
}

/// <summary>The result of <c>import gguf</c>.</summary>
/// <param name="Architecture">The architecture's name in the file.</param>
/// <param name="Parameters">Number of values.</param>
/// <param name="Tensors">Number of tensors.</param>
/// <param name="Types">Number of tensors of each number type.</param>
/// <param name="Tokens">Size of the vocabulary.</param>
/// <param name="Dtype">Number type of the written weights.</param>
/// <param name="Sha256">SHA-256 of the GGUF file.</param>
public sealed record GgufImportRecord(
    string Architecture,
    long Parameters,
    int Tensors,
    IReadOnlyDictionary<string, int> Types,
    int Tokens,
    string Dtype,
    string Sha256
);
