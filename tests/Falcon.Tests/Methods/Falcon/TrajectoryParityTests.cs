using System.Text.Json;
using Falcon.Checkpoints;
using Falcon.Checkpoints.Safetensors;
using Falcon.Engine;
using Falcon.Methods.Falcon;
using Falcon.Methods.Gradients;
using Falcon.Methods.Terms;
using Falcon.Models;
using Falcon.Optimization;
using Falcon.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Falcon.Tests.Methods.Falcon;

/// <summary>
/// Whole runs of the authors' loop, step by step: losses, cosines, branches, offset vectors and final weights (fixtures README,
/// "trajectory"). Every run that is found is replayed, on the path that shares the prefix and on the plain one.
/// </summary>
[Trait("Category", "Parity")]
[Trait("Parity", "true")]
public class TrajectoryParityTests
{
    public static TheoryData<string, bool> Cases()
    {
        var data = new TheoryData<string, bool>();
        var root = Fixtures.At("falcon", "trajectory");
        if (!Directory.Exists(root)) return data;
        foreach (var path in Directory.EnumerateFiles(root, "*.json").Order(StringComparer.Ordinal))
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(path));
            if (document.RootElement.ValueKind != JsonValueKind.Object || !document.RootElement.TryGetProperty("steps", out _)) continue;
            data.Add(Path.GetFileNameWithoutExtension(path), false);
            data.Add(Path.GetFileNameWithoutExtension(path), true);
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Replay_GoldenRun_AgreesStepByStep(string name, bool plain)
    {
        using var scope = NewDisposeScope();
        using var run = JsonDocument.Parse(File.ReadAllBytes(Fixtures.At("falcon", "trajectory", name + ".json")));
        using var batches = JsonDocument.Parse(File.ReadAllBytes(Fixtures.At("falcon", "trajectory", "batches.json")));
        using var golden = SafetensorsFile.Open(Fixtures.At("falcon", "trajectory", name + ".safetensors"));
        using var common = SafetensorsFile.Open(Fixtures.At("falcon", "trajectory", "common.safetensors"));
        var root = run.RootElement;
        var settings = root.GetProperty("hparams");
        var data = batches.RootElement.GetProperty(root.GetProperty("data").GetString()!);
        var padId = batches.RootElement.GetProperty("pad_token_id").GetInt32();
        var rows = root.GetProperty("fully_masked_query_rows").GetString() == "sdpa_cuda" ? PaddingRows.Unmasked : PaddingRows.Uniform;
        var names = root.GetProperty("parameter_names").EnumerateArray().Select(item => item.GetString()!).ToList();
        var target = settings.GetProperty("layer_id").GetInt32();
        var perturbed = root.GetProperty("start").GetString()!.Contains("perturbed_start", StringComparison.Ordinal);
        var rankDeficient =
            root.TryGetProperty("warning", out var warning)
            && warning.GetString()!.Contains("inject step*.steering", StringComparison.Ordinal);
        var injectFirstRetain = !perturbed;

        using var checkpoint = Checkpoint.Open(Fixtures.At("falcon", "models", "llama_untied"));
        using var weights = checkpoint.LoadWeights(float32, torch.CPU);
        var frozen = new CausalLM(checkpoint.Config, weights);
        // Perturbed starts also change matrices that are not trained: they are among the parameters of the updated model, after the trained
        // ones, and the optimiser leaves them alone.
        var start = perturbed
            ? common
                .Entries.Where(entry => entry.Name.StartsWith("perturbed_start.", StringComparison.Ordinal))
                .ToDictionary(entry => entry.Name["perturbed_start.".Length..], entry => TensorBytes.ToTensor(common, entry))
            : [];
        var startModel = frozen.With(start);
        using var trained = new TrainedParameters(startModel, [.. names, .. start.Keys.Except(names)]);
        var contrastive = new Contrastive { Temperature = settings.GetProperty("temperature").GetDouble() };
        var alpha = Numbers(settings.GetProperty("alpha"));
        var conflict = Numbers(settings.GetProperty("conflict_weights"));
        var aligned = Numbers(settings.GetProperty("align_weights"));
        var rate = settings.GetProperty("lr").GetDouble();
        List<BlockTensor> masters = [.. trained.Masters.Take(names.Count)];
        using Optimizer optimizer = root.GetProperty("optimizer").GetString()!.Contains("Sophia", StringComparison.OrdinalIgnoreCase)
            ? new SophiaOfficial(masters, rate, rho: 0.9, weightDecay: 1e-3)
            : new AdamW(masters, rate, weightDecay: AdamWeightDecay(root));

        using var noise = TensorBytes.ToTensor(common, common.Entries.Single(entry => entry.Name == "noise"));
        var vectors = new List<Tensor>();
        var steps = root.GetProperty("steps").EnumerateArray().ToList();
        foreach (var step in steps)
        {
            var index = step.GetProperty("step").GetInt32();
            var pov = step.GetProperty("pov");
            var batch = Batch(
                data.GetProperty("forget"),
                pov.GetProperty("topic").GetInt32(),
                pov.GetProperty("batch_idx").GetInt32(),
                pov.GetProperty("max_length").GetInt32(),
                padId
            );
            var expected = TensorBytes.ToTensor(golden, golden.Entries.Single(entry => entry.Name == $"step{index}.steering")).reshape(-1);
            if (rankDeficient)
            {
                vectors.Add(expected);
                continue;
            }

            using var noGrad = no_grad();
            // The published loop takes the vectors from the model in training before its first update.
            using var context = batch.Context(startModel, rows);
            var hidden = startModel.HiddenStates(batch.InputIds(torch.CPU), target, context);
            var (vector, _) = PrincipalOffsetVector.Official(hidden, noise[index], nullThreshold: 0, solver: DirectionSolver.Svd);
            AssertClose(expected, vector, 2e-4, $"step {index}: steering");
            vectors.Add(vector);
        }

        foreach (var step in steps)
        {
            var index = step.GetProperty("step").GetInt32();
            var (topic, number, length) = (
                step.GetProperty("topic_idx").GetInt32(),
                step.GetProperty("batch_idx").GetInt32(),
                step.GetProperty("max_length").GetInt32()
            );
            var losses = new FalconLosses(frozen, trained, target)
            {
                Settings = new ObjectiveSettings
                {
                    Forget = [contrastive],
                    Retain = [new HiddenStates { Weight = [alpha[topic]] }],
                },
                CountPadding = true,
                PaddingRows = rows,
                Plainly = plain,
            };
            var gradients = losses.Gradients(
                Batch(data.GetProperty("forget"), topic, number, length, padId),
                Batch(data.GetProperty("retain"), topic, number, length, padId),
                vectors[index]
            );
            Assert.Equal(step.GetProperty("unlearn_loss").GetDouble(), gradients.ForgetLoss, 5e-5);
            Assert.Equal(step.GetProperty("retain_loss").GetDouble(), gradients.RetainLoss, 1e-4);
            var combined = new List<Tensor>();
            for (var i = 0; i < names.Count; i++)
            {
                // At the first step of an unperturbed start the retain gradient is rounding noise that decides the branch: the stored one
                // is used.
                var retain = injectFirstRetain && index == 0 ? StoredRetainGradient(names[i]) : gradients.Retain[i];
                var (gradient, cosine, isConflict) = GradientCombination.Combine(
                    gradients.Forget[i],
                    retain,
                    new ConflictWeights(conflict[0], conflict[1], aligned[0], aligned[1]),
                    zeroNormThreshold: 0
                );
                var expected = step.GetProperty("grad_cosine").GetProperty(names[i]).GetDouble();
                Assert.Equal(expected, cosine, 1e-3);
                if (Math.Abs(expected) > 2e-4)
                    Assert.Equal(step.GetProperty("branch").GetProperty(names[i]).GetString() == "conflict", isConflict);
                combined.Add(gradient);
            }

            optimizer.Step(combined);
        }

        for (var i = 0; i < names.Count; i++)
        {
            var expected = TensorBytes.ToTensor(golden, golden.Entries.Single(entry => entry.Name == $"final.{names[i]}"));
            var difference = (trained.Masters[i].Whole() - expected).abs().flatten();
            var bound = perturbed ? 1e-5 : 5e-5;
            Assert.True(difference.max().item<float>() <= 1e-3, $"{names[i]}: an element differs by {difference.max().item<float>():G3}");
            var within = difference.le(bound).to(float64).mean().item<double>();
            Assert.True(within >= 0.999, $"{names[i]}: only {within:P2} of the elements are within {bound:G2}");
        }
    }

    private static double AdamWeightDecay(JsonElement root)
    {
        var text = root.GetProperty("optimizer").GetString()!;
        var at = text.IndexOf("weight_decay=", StringComparison.Ordinal);
        if (at < 0) return 0.01; // torch.optim.AdamW's default
        var number = new string([.. text[(at + "weight_decay=".Length)..].TakeWhile(c => char.IsDigit(c) || c is '.' or 'e' or '-')]);
        return double.Parse(number, System.Globalization.CultureInfo.InvariantCulture);
    }

    private static Tensor StoredRetainGradient(string name)
    {
        foreach (var path in Directory.EnumerateFiles(Fixtures.At("falcon", "trajectory"), "*.safetensors"))
        {
            using var file = SafetensorsFile.Open(path);
            if (file.TryGetEntry($"step0.retain_grad.{name}", out var entry)) return TensorBytes.ToTensor(file, entry);
        }

        throw new FileNotFoundException($"no trajectory file stores step0.retain_grad.{name}");
    }

    private static TokenBatch Batch(JsonElement topics, int topic, int batch, int length, int padId)
    {
        var rows = topics[topic]
            [batch]
            .EnumerateArray()
            .Select(row => row.EnumerateArray().Select(id => id.GetInt32()).Take(length).ToArray())
            .ToList();
        return new TokenBatch(rows, padId, PaddingSide.Left);
    }

    private static double[] Numbers(JsonElement array) => [.. array.EnumerateArray().Select(item => item.GetDouble())];

    private static void AssertClose(Tensor expected, Tensor actual, double tolerance, string what)
    {
        using var difference = (expected - actual).abs().max();
        Assert.True(
            difference.item<float>() <= tolerance,
            $"{what}: largest difference {difference.item<float>():G3}, tolerance {tolerance:G3}"
        );
    }
}
