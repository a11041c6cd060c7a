using Falcon.Attacks.Protocol;
using Falcon.Results;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Attacks.Activations;

/// <summary>
/// Projects directions out of the residual stream at all positions, h' = h - D^T D h. Two kinds of direction are tried. First, the r
/// principal directions of (attacked - original) at the tokens of forget texts: r = 1 is the published attack, higher ranks meet methods
/// whose target changes from step to step. Second, the difference between the means of the attacked model on forget and on retain texts,
/// which needs no original (Lucki et al. 2024, arXiv 2409.18025; Arditi et al. 2024, arXiv 2406.11717). They are removed after the first
/// layer at which the two models differ, or after every layer from there on.
/// </summary>
internal sealed class Orthogonalization : Attack
{
    // Relative to the size of the states; a smaller difference is rounding.
    private const double SmallestDifference = 1e-3;

    public override string Name => "orthogonalization";

    public override AttackTier Tier => AttackTier.Activations;

    public override string Definition =>
        "Directions in which the attacked model's states on forget texts differ from the original's (rank 1 to r) or from its own on "
            + "retain texts, projected out of the residual stream (arXiv 2409.18025).";

    public override AttackScores Run(AttackSubject subject, AttackData data, AttackSettings settings)
    {
        var (layers, count) = (subject.Loaded.Model.Config.LayerCount, Texts(settings));
        using var attacked = ResidualStates.Read(subject.Loaded, settings.Sample(data.ForgetTexts, count, "forget texts"), data, settings);
        using var original = ResidualStates.Read(
            subject.Original,
            settings.Sample(data.ForgetTexts, count, "forget texts"),
            data,
            settings
        );
        using var retain = ResidualStates.Read(subject.Loaded, settings.Sample(data.RetainTexts, count, "retain texts"), data, settings);
        using var scope = NewDisposeScope();
        var first = FirstDifference(attacked, original, layers);
        List<(string, Func<ScoringPass>)> strengths = [];
        foreach (var (where, chosen) in Places(first, layers))
        {
            foreach (var rank in Ranks(settings).Where(rank => rank <= subject.Loaded.Model.Config.HiddenSize / 4))
                Add(
                    $"rank {rank} of the difference to the original, {where}",
                    layer => Differences(attacked.After(layer), original.After(layer), rank),
                    chosen
                );
            Add(
                $"from the retain mean, {where}",
                layer => ResidualDirections.BetweenMeans(retain.After(layer), attacked.After(layer)),
                chosen
            );
        }

        return StrengthWithinUtility.Best(strengths, subject.Loaded, data, settings);

        void Add(string name, Func<int, Tensor> directions, IReadOnlyList<int> chosen)
        {
            var device = subject.Loaded.Model.Device;
            var byLayer = chosen.ToDictionary(layer => layer, layer => directions(layer).to(device));
            strengths.Add((name, () => Removing(byLayer)));
        }
    }

    /// <summary>Random directions of the same numbers.</summary>
    public override AttackScores RunRandom(AttackSubject subject, AttackData data, AttackSettings settings)
    {
        var config = subject.Loaded.Model.Config;
        using var scope = NewDisposeScope();
        using var generator = new Generator(Seeds.Derive(settings.Seed, "random directions"));
        List<(string, Func<ScoringPass>)> strengths = [];
        foreach (var (where, chosen) in Places(config.LayerCount / 3, config.LayerCount))
            foreach (var rank in Ranks(settings).Where(rank => rank <= config.HiddenSize / 4))
            {
                var byLayer = chosen.ToDictionary(
                    layer => layer,
                    _ => ResidualDirections.Random(rank, config.HiddenSize, generator).to(subject.Loaded.Model.Device)
                );
                strengths.Add(($"{rank} random directions, {where}", () => Removing(byLayer)));
            }

        return StrengthWithinUtility.Best(strengths, subject.Loaded, data, settings);
    }

    private static ScoringPass Removing(Dictionary<int, Tensor> byLayer) =>
        new()
        {
            AfterLayer = (layer, hidden) =>
                byLayer.TryGetValue(layer, out var directions) && directions.shape[0] > 0
                    ? ResidualDirections.Remove(hidden, directions)
                    : hidden,
        };

    private static Tensor Differences(Tensor attacked, Tensor original, int rank)
    {
        using var scope = NewDisposeScope();
        var ordinary = ResidualDirections.Ordinary(attacked).nonzero().squeeze(1);
        var differences = (attacked - original).index_select(0, ordinary);
        return (
            differences.abs().max().item<float>() == 0
                ? zeros([0, differences.shape[1]], float32)
                : ResidualDirections.Principal(differences, rank)
        ).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// The lowest layer after which the states differ; a third of the depth where none does, as in the original itself.
    /// </summary>
    private static int FirstDifference(ResidualStates attacked, ResidualStates original, int layers)
    {
        using var scope = NewDisposeScope();
        for (var layer = 0; layer < layers; layer++)
            if (
                (attacked.After(layer) - original.After(layer)).norm().item<float>()
                > SmallestDifference * original.After(layer).norm().item<float>()
            )
                return layer;
        return layers / 3;
    }

    private static IEnumerable<(string, IReadOnlyList<int>)> Places(int first, int layers) =>
    [
        ($"after layer {first}", [first]),
        ($"after layers {first} to {layers - 1}", [.. Enumerable.Range(first, layers - first)]),
    ];

    private static int[] Ranks(AttackSettings settings) =>
        settings.Budget switch
        {
            AttackBudget.Quick => [1, 8],
            AttackBudget.Standard => [1, 2, 4, 8, 16],
            _ => [1, 2, 4, 8, 16, 32, 64],
        };

    private static int Texts(AttackSettings settings) =>
        settings.Budget switch
        {
            AttackBudget.Quick => 48,
            AttackBudget.Standard => 256,
            _ => 1000,
        };
}
