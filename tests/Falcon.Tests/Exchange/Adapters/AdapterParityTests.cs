using System.Text.Json;
using Falcon.Checkpoints;
using Falcon.Exchange;
using Falcon.Exchange.Adapters;
using Falcon.Models;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Tests.Exchange.Adapters;

/// <summary>
/// LoRA adapters that PEFT wrote, merged here: logits and merged tensors against those of the library (README of the fixtures). Every case
/// of
/// <c>families/adapters.json</c> that is found is tested.
/// </summary>
[Trait("Category", "Parity")]
[Trait("Parity", "true")]
public sealed class AdapterParityTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    /// <summary>Format and case; one empty case where the folder is absent, so that the test is shown as skipped.</summary>
    public static TheoryData<string, string> Cases()
    {
        var data = new TheoryData<string, string>();
        if (!File.Exists(Index))
            data.Add("peft", "");
        else
            foreach (var item in All())
                data.Add("peft", item.GetProperty("id").GetString()!);
        return data;
    }

    private static string Root => Fixtures.At("families");

    private static string Index => Path.Combine(Root, "adapters.json");

    [Theory]
    [MemberData(nameof(Cases))]
    public void Merge_GoldenAdapter_AgreesWithTheLibrary(string format, string id)
    {
        Assert.SkipWhen(id.Length == 0, $"no golden {format} adapters at {Index}");
        var item = All().Single(one => one.GetProperty("id").GetString() == id);
        var model = Path.Combine(Root, "families", item.GetProperty("base").GetString()!);
        var adapter = Path.Combine(Root, item.GetProperty("path").GetString()!);
        var golden = new FixtureTensors(Path.Combine(Root, item.GetProperty("golden").GetString()!));
        var tolerance = item.GetProperty("tolerance").GetDouble();

        // As the verbs do it that compute with the model, and as export merged writes it in float32.
        using (var named = NamedModel.Open(model, adapter, RunContext.Quiet))
            Compare(named.Directory, golden, tolerance);
        var record = AdapterMerge.Execute(model, adapter, _folder.At("merged"), "float32", RunContext.Quiet);
        Compare(_folder.At("merged"), golden, tolerance);
        Assert.Equal(item.GetProperty("adapter_tensors").GetInt32(), record.AdapterTensors);
        Assert.Equal(ContentHash.OfModel(_folder.At("merged")).Sha256, record.Sha256);

        // Rounded to the number types of the base, nothing but the changed tensors differs from it.
        AdapterMerge.Execute(model, adapter, _folder.At("stored"), "auto", RunContext.Quiet);
        using var before = WeightFiles.Open(model);
        using var after = WeightFiles.Open(_folder.At("stored"));
        foreach (var name in before.Names)
            if (!record.Changed.Contains(name))
                Assert.True(TensorBytePairs.AreEqual(before.Locate(name), after.Locate(name), CancellationToken.None), name);
            else
                Assert.Equal(before.Locate(name).Entry.DType, after.Locate(name).Entry.DType);
    }

    private static void Compare(string directory, FixtureTensors golden, double tolerance)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var checkpoint = Checkpoint.Open(directory);
        using var weights = checkpoint.LoadWeights(float32, CPU);
        var model = new CausalLM(checkpoint.Config, weights);
        foreach (var name in golden.Names.Where(name => name.StartsWith("merged.", StringComparison.Ordinal)))
            GoldenCases.Close(golden[name], weights.Tensors[StoredAs(name["merged.".Length..], checkpoint)], tolerance, name);
        var ids = golden["input_ids_0"].unsqueeze(0);
        using var context = model.Causal(ids.shape[1]);
        GoldenCases.Close(golden["logits_merged"], model.Logits(ids, context), tolerance, "logits_merged");
        GoldenCases.Close(golden["logits_adapter"], model.Logits(ids, context), tolerance, "logits_adapter");
    }

    // A tied head is the embedding.
    private static string StoredAs(string name, Checkpoint checkpoint) =>
        checkpoint.Config.TiedEmbeddings && name == checkpoint.Config.Architecture.HeadWeight
            ? checkpoint.Config.Architecture.EmbeddingWeight
            : name;

    private static IEnumerable<JsonElement> All()
    {
        using var document = JsonDocument.Parse(File.ReadAllBytes(Index));
        return [.. document.RootElement.GetProperty("adapters").EnumerateArray().Select(item => item.Clone())];
    }
}
