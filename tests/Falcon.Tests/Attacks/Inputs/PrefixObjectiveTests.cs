using Falcon.Attacks.Activations;
using Falcon.Attacks.Inputs;
using Falcon.Checkpoints;
using Falcon.Evaluation;
using Falcon.Models;
using Falcon.Tests.Attacks.Activations;
using Falcon.Tests.Attacks.Protocol;
using TorchSharp;
using static TorchSharp.torch;

namespace Falcon.Tests.Attacks.Inputs;

/// <summary>
/// What GCG minimises, on the fixtures' models: every term and its slope from the plain decoder in double precision, and one step of the
/// search against all swaps there are.
/// </summary>
[Trait("Category", "Parity")]
[Trait("Parity", "true")]
public sealed class PrefixObjectiveTests : IDisposable
{
    private const string Changed = "model.layers.0.mlp.down_proj.weight";
    private const double Factor = 1.25, RepresentationWeight = 0.3, FluencyWeight = 0.2, RepetitionWeight = 0.7;
    private const int Layer = 2, Bos = 5;

    private const int LeastVocabulary = 45; // the search tries the ids 10 to 39

    private static readonly List<ScoredSequence> Items = [new([Bos, 17, 40, 3, 44, 21], 4), new([Bos, 42, 9, 33], 2)];

    private readonly DisposeScope _scope = NewDisposeScope();
    private readonly List<IDisposable> _owned = [];

    public static TheoryData<string> Models() => LogitLensTests.Models();

    public void Dispose()
    {
        foreach (var owned in _owned) owned.Dispose();
        _scope.Dispose();
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void Losses_EveryTerm_AgreesWithTheDefinition(string name)
    {
        var (objective, plain) = Make(name);
        int[][] prefixes = [[11, 12, 11, 11], [7, 40], [43, 4, 9, 43]];
        var losses = objective.Losses(prefixes);
        for (var i = 0; i < prefixes.Length; i++)
        {
            var expected = plain(prefixes[i], null) + RepetitionWeight * Repeated(prefixes[i]);
            Assert.Equal(expected, losses[i], 2e-3 * Math.Max(1, Math.Abs(expected)));
        }
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void Gradient_OfATokenChoice_AgreesWithFiniteDifferences(string name)
    {
        const double Step = 1e-4;
        var (objective, plain) = Make(name);
        int[] prefix = [11, 34, 30];
        using var gradient = objective.Gradient(prefix);
        var largest = gradient.abs().max().item<float>();
        foreach (var (position, token) in new[] { (0, 1), (0, 11), (1, 37), (2, 30), (2, 44) })
        {
            var expected = (plain(prefix, (position, token, Step)) - plain(prefix, (position, token, -Step))) / (2 * Step);
            Assert.Equal(expected, gradient[position, token].item<float>(), 2e-3 * largest);
        }
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void Run_OneStepWithEverySwap_FindsTheBestOfAll(string name)
    {
        var (objective, plain) = Make(name);
        int[] start = [11, 42],
            allowed = [.. Enumerable.Range(10, 30)];
        var search = new PrefixSearch
        {
            Promising = prefix => objective.Promising(prefix, allowed.Length, allowed),
            Losses = objective.Losses,
            Admissible = _ => true,
            Candidates = 1000,
        };
        var (found, loss) = search.Run(start, 1, seed: 0);

        var swaps = start
            .SelectMany((_, position) => allowed.Select(token => start.Select((old, i) => i == position ? token : old).ToArray()))
            .ToList();
        var exact = swaps.Select(prefix => plain(prefix, null) + RepetitionWeight * Repeated(prefix)).ToList();
        Assert.Equal(exact.Min(), loss, 2e-3 * Math.Max(1, exact.Min()));
        // The very swap, or one that rounding cannot tell from it.
        Assert.Equal(exact.Min(), exact[swaps.FindIndex(swap => swap.AsSpan().SequenceEqual(found))], 4e-3);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void BufferedSearch_Lengths_StayWithinTheirLimitsAndTheLossNeverRises(ulong seed)
    {
        // The loss wants many sevens and short prefixes; the buffer may hold worse ones, the best so far never gets worse.
        List<(int Length, double Loss)> course = [];
        var search = new BufferedPrefixSearch
        {
            Promising = prefix => [.. prefix.Select(_ => Enumerable.Range(1, 9).ToArray())],
            Proposals = (_, _) => [.. Enumerable.Range(1, 9)],
            Losses = prefixes => [.. prefixes.Select(prefix => prefix.Count(token => token != 7) + 0.1 * prefix.Length)],
            Admissible = prefix => !prefix.Contains(3),
            Candidates = 6,
            BufferSize = 4,
            MinLength = 4,
            MaxLength = 6,
        };
        var (found, loss) = search.Run([1, 2], 120, seed, (_, prefix, value) => course.Add((prefix.Length, value)));
        Assert.All(course.SkipWhile(one => double.IsInfinity(one.Loss)), one => Assert.InRange(one.Length, 4, 6));
        Assert.Equal(course.Select(one => one.Loss).OrderDescending(), course.Select(one => one.Loss));
        Assert.Equal([7, 7, 7, 7], found);
        Assert.Equal(0.4, loss, 1e-12);
    }

    // The objective of the library, and the same loss for a prefix whose choice of one token is moved a little towards another: x = one-hot
    // + step e.
    private (PrefixObjective, Func<int[], (int Position, int Token, double Step)?, double>) Make(string name)
    {
        var directory = Fixtures.At("falcon", "models", name);
        var (model, same) = (Load(directory), Load(directory)); // opened one by one, as attack opens its models
        Assert.SkipUnless(
            model.Config.VocabularySize >= LeastVocabulary && model.Config.LayerCount >= Layer,
            $"{name} has fewer than {LeastVocabulary} tokens or {Layer} layers"
        );
        var original = same.With(new Dictionary<string, Tensor> { [Changed] = same.Weight(Changed) * Factor });
        var objective = new PrefixObjective(model, Items, 0, place: 1)
        {
            Original = original,
            RepresentationLayer = Layer,
            RepresentationWeight = RepresentationWeight,
            FluencyWeight = FluencyWeight,
            RepetitionWeight = RepetitionWeight,
        };
        var (ours, theirs) = (
            new PlainDecoder(directory),
            new PlainDecoder(directory, all => all[Changed] = [.. all[Changed].Select(value => value * Factor)])
        );
        return (objective, (prefix, moved) => Items.Average(item => Loss(ours, theirs, item, prefix, moved)));
    }

    private CausalLM Load(string directory)
    {
        var checkpoint = Checkpoint.Open(directory);
        var weights = checkpoint.LoadWeights(float32, CPU);
        _owned.AddRange([weights, checkpoint]);
        return new CausalLM(checkpoint.Config, weights);
    }

    private static double Loss(
        PlainDecoder ours,
        PlainDecoder theirs,
        ScoredSequence item,
        int[] prefix,
        (int Position, int Token, double Step)? moved
    )
    {
        int[] tokens = [item.Tokens[0], .. prefix, .. item.Tokens[1..]];
        var embedded = tokens[..^1].Select(ours.Embedding).ToArray();
        if (moved is var (position, token, step))
            embedded[1 + position] = [.. embedded[1 + position].Zip(ours.Embedding(token), (old, towards) => old + step * towards)];
        var (states, reference) = (ours.Components([.. embedded]), theirs.Components([.. embedded]));
        double[] Last(int t) => states[^1][(int)LayerComponent.BlockOutput][t];
        var start = item.Start + prefix.Length;
        var force = -Enumerable.Range(start, tokens.Length - start).Average(t => ours.LogProbability(Last(t - 1), tokens[t]));
        var representation = Enumerable
            .Range(0, tokens.Length - 1)
            .Average(t =>
                Math.Sqrt(
                    states[Layer - 1]
                        [(int)LayerComponent.BlockOutput][t]
                        .Zip(reference[Layer - 1][(int)LayerComponent.BlockOutput][t], (a, b) => (a - b) * (a - b))
                        .Sum() + 1e-12
                )
            );
        var fluency = -Enumerable
            .Range(0, prefix.Length)
            .Average(i =>
                ours.LogProbability(Last(i), prefix[i])
                + (moved is var (at, other, share) && at == i ? share * ours.LogProbability(Last(i), other) : 0)
            );
        return force + RepresentationWeight * representation + FluencyWeight * fluency;
    }

    private static double Repeated(int[] prefix) =>
        prefix.Distinct().Sum(token => Math.Pow(Math.Max(prefix.Count(other => other == token) - 1, 0), 1.5)) / prefix.Length;
}
