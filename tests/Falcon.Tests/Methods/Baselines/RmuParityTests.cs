using System.Text.Json;
using Falcon.Checkpoints;
using Falcon.Checkpoints.Safetensors;
using Falcon.Engine;
using Falcon.Methods.Baselines;
using Falcon.Models;
using TorchSharp;
using static TorchSharp.torch;

namespace Falcon.Tests.Methods.Baselines;

/// <summary>RMU's losses and gradients on a golden model, both published variants (fixtures README, "rmu").</summary>
[Trait("Category", "Parity")]
[Trait("Parity", "true")]
public class RmuParityTests
{
    public static TheoryData<string> Cases()
    {
        var data = new TheoryData<string>();
        var path = Fixtures.At("falcon", "rmu.json");
        if (!File.Exists(path)) return data;
        using var document = JsonDocument.Parse(File.ReadAllBytes(path));
        foreach (var item in document.RootElement.GetProperty("cases").EnumerateObject()) data.Add(item.Name);
        return data;
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void LossAndGradients_GoldenCase_Agree(string name)
    {
        using var scope = NewDisposeScope();
        using var document = JsonDocument.Parse(File.ReadAllBytes(Fixtures.At("falcon", "rmu.json")));
        var root = document.RootElement;
        var settings = root.GetProperty("cases").GetProperty(name);
        using var golden = SafetensorsFile.Open(Fixtures.At("falcon", "rmu.safetensors"));
        Tensor Golden(string key) =>
            golden.TryGetEntry(key, out var entry) ? TensorBytes.ToTensor(golden, entry) : throw new KeyNotFoundException(key);
        using var checkpoint = Checkpoint.Open(Fixtures.At("falcon", root.GetProperty("model").GetString()!));
        using var weights = checkpoint.LoadWeights(float32, torch.CPU);
        var frozen = new CausalLM(checkpoint.Config, weights);
        var start = Start(settings.GetProperty("train_weights").GetString()!);
        var names = root.GetProperty("trainable").EnumerateArray().Select(item => item.GetString()!).ToList();
        using var trained = new TrainedParameters(frozen.With(start), names);
        var updated = trained.Updated(frozen.With(start));
        var layer = root.GetProperty("layer_id").GetInt32();
        var data = name[..name.LastIndexOf('.')];
        var openUnlearning = name.EndsWith(".openunlearning", StringComparison.Ordinal);
        var target = Golden("u").reshape(-1) * settings.GetProperty("coefficient").GetDouble();

        Tensor Loss(string set, bool forget)
        {
            var ids = Golden($"{data}.{set}.input_ids");
            var mask = Golden($"{data}.{set}.attention_mask");
            using var context = frozen.LeftPadded(mask);
            var hidden = updated.HiddenStates(ids, layer, context);
            Tensor reference;
            using (no_grad()) reference = forget ? target.expand(hidden.shape) : frozen.HiddenStates(ids, layer, context);
            return openUnlearning ? RmuLoss.ComputeOpenUnlearning(hidden, reference, mask) : RmuLoss.Compute(hidden, reference);
        }

        var forgetLoss = Loss("forget", forget: true);
        var retainLoss = Loss("retain", forget: false) * settings.GetProperty("alpha").GetDouble();
        var gradients = autograd.grad([forgetLoss + retainLoss], [.. trained.Leaves]);

        AssertRelative(settings.GetProperty("forget_loss").GetDouble(), forgetLoss.item<float>());
        AssertRelative(settings.GetProperty("retain_loss_times_alpha").GetDouble(), retainLoss.item<float>());
        for (var i = 0; i < names.Count; i++)
        {
            var expected = Golden(settings.GetProperty("grads_stored_under").GetString() + names[i]);
            var bound = settings.GetProperty("tolerance_rel_to_max").GetDouble() * expected.abs().max().item<float>();
            var difference = (expected - gradients[i]).abs().max().item<float>();
            Assert.True(difference <= bound, $"{names[i]}: largest difference {difference:G3}, tolerance {bound:G3}");
        }
    }

    private static Dictionary<string, Tensor> Start(string description)
    {
        var file = Fixtures.At("falcon", "trajectory", "common.safetensors");
        const string prefix = "perturbed_start.";
        if (!description.Contains(prefix, StringComparison.Ordinal)) return [];
        using var common = SafetensorsFile.Open(file);
        return common
            .Entries.Where(entry => entry.Name.StartsWith(prefix, StringComparison.Ordinal))
            .ToDictionary(entry => entry.Name[prefix.Length..], entry => TensorBytes.ToTensor(common, entry));
    }

    private static void AssertRelative(double expected, double actual) =>
        Assert.Equal(expected, actual, 2e-5 * Math.Max(Math.Abs(expected), 1e-6));
}
