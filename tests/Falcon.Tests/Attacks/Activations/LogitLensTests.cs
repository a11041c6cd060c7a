using System.Text.Json.Nodes;
using Falcon.Attacks.Activations;
using Falcon.Attacks.Protocol;
using Falcon.Checkpoints;
using Falcon.Evaluation;
using Falcon.Models;
using Falcon.Results;
using Falcon.Runtime;
using Falcon.Tests.Attacks.Protocol;
using TorchSharp;

namespace Falcon.Tests.Attacks.Activations;

/// <summary>The lens on every model of the fixtures whose kind the plain decoder of this test knows.</summary>
[Trait("Category", "Parity")]
[Trait("Parity", "true")]
public class LogitLensTests
{
    private static readonly string[] Known = ["llama", "mistral", "qwen2", "qwen3"];

    public static TheoryData<string> Models()
    {
        var root = Fixtures.At("falcon", "models");
        if (!Directory.Exists(root)) return [];
        return [.. Directory.EnumerateDirectories(root).Where(directory =>
        {
            var config = JsonNode.Parse(File.ReadAllText(Path.Combine(directory, "config.json")))!;
            return Known.Contains(config["model_type"]!.GetValue<string>()) && config["rope_scaling"] is null;
        }).Select(directory => Path.GetFileName(directory)!).Order(StringComparer.Ordinal)];
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void Read_EveryPlace_AgreesWithAPlainDecoderInDoublePrecision(string name)
    {
        const double Tolerance = 2e-3; // of log p, nats: the library computes in float32
        var directory = Fixtures.At("falcon", "models", name);
        var plain = new PlainDecoder(directory);
        using var checkpoint = Checkpoint.Open(directory);
        using var weights = checkpoint.LoadWeights(torch.float32, torch.CPU);
        var model = new CausalLM(checkpoint.Config, weights);
        var random = new SeededRandom(3, "tokens of the lens");
        int[] Tokens(int count) => [.. Enumerable.Range(0, count).Select(_ => random.Next(checkpoint.Config.VocabularySize))];
        List<ScoredSequence> sequences = [new(Tokens(7), 4), new(Tokens(5), 1), new(Tokens(9), 8)];

        var read = LogitLens.Read(
            model,
            model,
            sequences,
            0,
            new AttackSettings(AttackBudget.Quick, 0, SilentRunLog.Instance, CancellationToken.None)
        );

        Assert.Equal(4 * plain.Layers, read.Count);
        for (var i = 0; i < sequences.Count; i++)
        {
            var (tokens, start) = sequences[i];
            var vectors = plain.Components(tokens);
            foreach (var ((layer, component), means) in read)
            {
                var expected = Enumerable
                    .Range(start, tokens.Length - start)
                    .Average(t => plain.LogProbability(vectors[layer][(int)component][t - 1], tokens[t]));
                Assert.True(
                    Math.Abs(expected - means[i]) < Tolerance * Math.Max(1, Math.Abs(expected)),
                    $"{name}, sequence {i}, {component} of layer {layer}: {means[i]}, plain {expected}"
                );
            }
        }
    }
}
