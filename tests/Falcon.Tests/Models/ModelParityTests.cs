using System.Text.Json;
using Falcon.Checkpoints;
using Falcon.Checkpoints.Safetensors;
using Falcon.Models;
using Falcon.Models.Families;
using TorchSharp;
using static TorchSharp.torch;

namespace Falcon.Tests.Models;

/// <summary>
/// Logits and the hidden state after every layer against golden values (an independent float32 implementation, cross-checked in float64;
/// README of the fixtures). Every model directory that is found is tested with every case its expected files hold.
/// </summary>
[Trait("Category", "Parity")]
[Trait("Parity", "true")]
public class ModelParityTests
{
    public static TheoryData<string, string> Cases()
    {
        var data = new TheoryData<string, string>();
        var root = Fixtures.At("falcon", "models");
        if (!Directory.Exists(root)) return data;
        foreach (var model in Directory.EnumerateDirectories(root).Order(StringComparer.Ordinal))
            foreach (var expected in Directory.EnumerateFiles(model, "expected*.safetensors").Order(StringComparer.Ordinal))
                data.Add(Path.GetFileName(model), Path.GetFileName(expected));
        return data;
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Forward_GoldenModel_AgreesWithExpected(string name, string expectedFile)
    {
        var directory = Fixtures.At("falcon", "models", name);
        // "expected.X.safetensors" belongs to "config.X.json" over the same weights.
        var variant = expectedFile["expected".Length..^".safetensors".Length];
        using var scope = NewDisposeScope();
        using var checkpoint = Checkpoint.Open(directory);
        var config = ModelConfig.Read(Path.Combine(directory, $"config{variant}.json"));
        using var weights = checkpoint.LoadWeights(float32, torch.CPU);
        var model = new CausalLM(config, weights);
        using var expected = SafetensorsFile.Open(Path.Combine(directory, expectedFile));
        Tensor Golden(string key) =>
            expected.TryGetEntry(key, out var entry) ? TensorBytes.ToTensor(expected, entry) : throw new KeyNotFoundException(key);
        var tolerance = Tolerance(name);
        using var noGrad = no_grad();

        var compared = 0;
        foreach (
            var batch in expected
                .Entries.Where(entry => entry.Name.EndsWith(".input_ids", StringComparison.Ordinal))
                .Select(entry => entry.Name[..^".input_ids".Length])
        )
        {
            var ids = Golden($"{batch}.input_ids");
            foreach (
                var prefix in expected
                    .Entries.Select(entry => entry.Name)
                    .Where(key => key.Contains('.') && IsFor(key, batch))
                    .Select(key => key[..key.LastIndexOf('.')])
                    .Distinct()
            )
            {
                var rows = prefix.EndsWith("sdpa_cuda", StringComparison.Ordinal) ? PaddingRows.Unmasked : PaddingRows.Uniform;
                using var context = expected.TryGetEntry($"{batch}.attention_mask", out _)
                    ? model.LeftPadded(Golden($"{batch}.attention_mask"), rows)
                    : model.Causal(ids.shape[1]);
                var hidden = model.Embed(ids);
                compared += Compare(expected, $"{prefix}.embed", hidden, tolerance);
                for (var layer = 0; layer < config.LayerCount; layer++)
                {
                    hidden = model.Layer(layer, hidden, context);
                    compared += Compare(expected, $"{prefix}.layer{layer}", hidden, tolerance);
                }

                compared += Compare(expected, $"{prefix}.logits", model.Head(hidden), tolerance);
            }
        }

        Assert.True(compared > 0, $"{expectedFile} of {name} holds nothing that could be compared");
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void InverseFrequencies_GoldenScaling_Agree(string name, string expectedFile)
    {
        var directory = Fixtures.At("falcon", "models", name);
        using var expected = SafetensorsFile.Open(Path.Combine(directory, expectedFile));
        if (!expected.TryGetEntry("inv_freq", out var entry)) return; // only the variants with scaled RoPE store them
        var config = ModelConfig.Read(Path.Combine(directory, $"config{expectedFile["expected".Length..^".safetensors".Length]}.json"));
        using var golden = TensorBytes.ToTensor(expected, entry);
        var ours = config.Ropes[0]!.InverseFrequencies(config.HeadSize);
        var values = golden.data<float>().ToArray();
        Assert.Equal(values.Length, ours.Length);
        for (var j = 0; j < ours.Length; j++) Assert.Equal(values[j], ours[j], Math.Abs(values[j]) * 1e-6);
    }

    // A case such as leftpad_sdpa_cuda.* uses the ids of leftpad.
    private static bool IsFor(string key, string batch) =>
        key.StartsWith(batch + ".", StringComparison.Ordinal) || key.StartsWith(batch + "_", StringComparison.Ordinal);

    private static int Compare(SafetensorsFile expected, string key, Tensor actual, double tolerance)
    {
        if (!expected.TryGetEntry(key, out var entry)) return 0;
        using var scope = NewDisposeScope();
        var golden = TensorBytes.ToTensor(expected, entry);
        Assert.Equal(golden.shape, actual.shape);
        var difference = (golden - actual).abs().max().item<float>();
        Assert.True(difference <= tolerance, $"{key}: largest difference {difference:G3}, tolerance {tolerance:G3}");
        return 1;
    }

    private static double Tolerance(string name)
    {
        var file = Fixtures.At("falcon", "models", "models.json");
        if (!File.Exists(file)) return 1e-4;
        using var document = JsonDocument.Parse(File.ReadAllBytes(file));
        return
            document.RootElement.TryGetProperty("models", out var models)
            && models.TryGetProperty(name, out var model)
            && model.TryGetProperty("tolerance_abs", out var value)
            ? value.GetDouble()
            : 1e-4;
    }
}
