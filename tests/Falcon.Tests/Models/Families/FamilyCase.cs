using System.Text.Json.Nodes;
using Falcon.Checkpoints.Safetensors;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Tests.Models.Families;

/// <summary>
/// A tiny random checkpoint in a family's own layout: its config.json, its tensors' names and shapes as the Hugging Face library writes
/// them, its kind of tokenizer.
/// </summary>
/// <param name="Name">As the table in docs/families.md names it.</param>
/// <param name="Tokenizer">The golden tokenizer of the family's kind.</param>
/// <param name="Config">The text of config.json.</param>
/// <param name="Shapes">Every tensor.</param>
/// <param name="DownProjection">The matrix that writes the MLP's output into the residual stream, in a layer {0}.</param>
internal sealed record FamilyCase(
    string Name,
    string Tokenizer,
    JsonObject Config,
    IReadOnlyList<(string Name, long[] Shape)> Shapes,
    string DownProjection
)
{
    /// <summary>Every tested family and variant.</summary>
    public static IReadOnlyList<FamilyCase> All => FamilyCases.All;

    /// <summary>The case of this name.</summary>
    public static FamilyCase Of(string name) => All.First(item => item.Name == name);

    /// <summary>
    /// The weights, the same at every call: matrices normal with deviation 0.3, norms and biases spread about their neutral value.
    /// </summary>
    public Dictionary<string, (long[] Shape, float[] Values)> Weights()
    {
        var random = new SeededRandom(7, Name);
        var plusOne = Name.StartsWith("Gemma", StringComparison.Ordinal);
        return Shapes.ToDictionary(
            item => item.Name,
            item =>
            {
                var count = (int)item.Shape.Aggregate(1L, (product, size) => product * size);
                var neutral = item.Shape.Length > 1 || item.Name.EndsWith(".bias", StringComparison.Ordinal) || plusOne ? 0 : 1;
                return (
                    item.Shape,
                    Enumerable
                        .Range(0, count)
                        .Select(_ => (float)(neutral + (item.Shape.Length > 1 ? 0.3 : 0.2) * random.NextGaussian()))
                        .ToArray()
                );
            }
        );
    }

    /// <summary>Writes the directory with the golden tokenizer of the family's kind.</summary>
    public string Write(string directory)
    {
        Directory.CreateDirectory(directory);
        File.WriteAllText(Path.Combine(directory, "config.json"), Config.ToJsonString());
        File.Copy(
            Path.Combine(Fixtures.RepositoryRoot, "tests", "fixtures", "tokenizers", "tiny", Tokenizer, "tokenizer.json"),
            Path.Combine(directory, "tokenizer.json")
        );
        var end = Tokenizer.Contains("bytefallback", StringComparison.Ordinal) ? "</s>" : "<|endoftext|>";
        File.WriteAllText(Path.Combine(directory, "tokenizer_config.json"), $$"""{"eos_token": "{{end}}", "pad_token": "{{end}}"}""");
        SafetensorsWriter.Write(
            Path.Combine(directory, "model.safetensors"),
            [
                .. Weights()
                    .Select(item => new SafetensorsSource(item.Key, "F32", item.Value.Shape, stream =>
                    {
                        using var scope = NewDisposeScope();
                        TensorBytes.Write(tensor(item.Value.Values, item.Value.Shape), stream);
                    })),
            ]
        );
        return directory;
    }

    /// <summary>Token ids of a text, different for each seed.</summary>
    public static int[] Ids(int count, int seed) => [.. Enumerable.Range(0, count).Select(i => (i * 131 + seed * 37 + 3) % 800)];
}
