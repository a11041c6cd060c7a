using System.Runtime.InteropServices;
using System.Text.Json;
using Falcon.Exchange.Gguf;
using Falcon.Models;
using Falcon.Runtime;
using Falcon.Tokenization;
using static TorchSharp.torch;

namespace Falcon.Tests.Exchange.Gguf;

/// <summary>Imported models: token ids and logits are those of the checkpoint that the file was made from (fixtures/gguf/models).</summary>
[Trait("Category", "Parity")]
public sealed class GgufImportTests : IDisposable
{
    // By number type, of the largest golden logit: a file of rounded weights is the model of those weights.
    private static readonly Dictionary<string, double> Tolerances = new()
    {
        ["F32"] = 1e-4,
        ["F16"] = 5e-3,
        ["BF16"] = 3e-2,
        ["Q8_0"] = 5e-2,
    };

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    public static TheoryData<string> Files()
    {
        var root = Fixtures.At("gguf", "models");
        return Directory.Exists(root)
            ?
            [
                .. Directory
                    .EnumerateFiles(root, "*.gguf", SearchOption.AllDirectories)
                    .Order(StringComparer.Ordinal)
                    .Select(path => Path.GetRelativePath(root, path)),
            ]
            : [""];
    }

    [Theory]
    [MemberData(nameof(Files))]
    public void Import_EachModel_GivesTheTokensAndLogitsOfItsOrigin(string file)
    {
        if (file.Length == 0)
            Assert.Skip("no GGUF models");
        var path = Fixtures.At("gguf", "models", file);
        var folder = Path.GetDirectoryName(path)!;
        try
        {
            GgufImport.Execute(path, _folder.At("model"), "float32", RunContext.Quiet);
        }
        catch (UnsupportedCheckpointException error) when (error.Message.Contains("general.architecture", StringComparison.Ordinal))
        {
            Assert.Skip(error.Message);
        }

        using var scope = NewDisposeScope();
        var golden = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, "golden.json"))).RootElement;
        var ids = golden.GetProperty("ids").EnumerateArray().Select(id => id.GetInt32()).ToArray();
        var origin = HfTokenizer.Load(Path.Combine(folder, "hf"));
        var imported = HfTokenizer.Load(_folder.At("model"));
        Assert.Equal(ids, imported.Encode(golden.GetProperty("text").GetString()!).Take(ids.Length)); // golden are the first ones
        foreach (var text in new[] { "a  12", " The  river\n\n3,456 ", "<|im_end|>x</s>", "naïve café — 日本 \u0004", "it's\tHE'LL" })
            Assert.Equal(origin.Encode(text), imported.Encode(text));

        var type = Path.GetFileNameWithoutExtension(file).Split('.')[^1];
        if (!Tolerances.TryGetValue(type, out var tolerance))
            return; // the origin's logits say little about coarser blocks
        using var checkpoint = global::Falcon.Checkpoints.Checkpoint.Open(_folder.At("model"));
        using var weights = checkpoint.LoadWeights(float32, CPU);
        var model = new CausalLM(checkpoint.Config, weights);
        var tokens = new TokenBatch([ids], 0);
        using var context = tokens.Context(model);
        using var guard = no_grad();
        var logits = model.Logits(tokens.InputIds(CPU), context)[0];
        var wanted = tensor(
            MemoryMarshal.Cast<byte, float>(File.ReadAllBytes(Path.Combine(folder, "logits.f32"))).ToArray(),
            [ids.Length, logits.shape[1]]
        );
        GoldenCases.CloseRelative(wanted, logits, tolerance, file);
    }
}
