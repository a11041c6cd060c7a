using static TorchSharp.torch;

namespace Falcon.Layers;

/// <summary>
/// How far the information of a layer can be trusted: a bootstrap interval over texts, and what it would be if the pairing of rows meant
/// nothing. Not in the paper, whose estimate has no error bar and pairs the rows of unrelated texts by their index.
/// </summary>
/// <param name="Low">Lower end of the 95 % interval in nats; null where fewer than half of the resamples gave an estimate.</param>
/// <param name="High">Upper end.</param>
/// <param name="Bootstraps">Resamples of the texts that gave an estimate.</param>
/// <param name="NullMean">Mean information over random pairings of the same rows; null as for <paramref name="Low"/>.</param>
/// <param name="NullLow">2.5 % quantile over random pairings.</param>
/// <param name="NullHigh">97.5 % quantile over random pairings.</param>
/// <param name="PermutationPValue">Share of random pairings with at least the observed information, (1 + count) / (1 + pairings).</param>
/// <param name="Permutations">Random pairings that gave an estimate.</param>
public sealed record MutualInformationInterval(double? Low, double? High, int Bootstraps,
    double? NullMean, double? NullLow, double? NullHigh, double? PermutationPValue, int Permutations)
{
    /// <summary>Whether this interval and another share a value; null where one of them is missing.</summary>
    public bool? Overlaps(MutualInformationInterval other) =>
        Low is null || other.Low is null ? null : Low <= other.High && other.Low <= High;

    /// <summary>
    /// Interval and permutation null of one layer, seeded. A resample draws texts with replacement, paired rows together; since repeated
    /// rows make a kernel density too dense and lower every entropy, the quantiles of the resamples are moved so that their mean is
    /// <paramref name="observed"/>. Cost: one eigendecomposition of n x n per entropy and resample (three a text resample and one a pairing
    /// for one domain), n the number of texts.
    /// </summary>
    /// <param name="forgetDomains">One [n_i, d] tensor a domain.</param>
    /// <param name="retain">[m, d].</param>
    /// <param name="observed">
    /// The estimate of <see cref="MutualInformation.OfLayer(IReadOnlyList{Tensor}, Tensor, double, EntropyOptions?)"/> for the same sets.
    /// </param>
    /// <param name="seed">Seed of the resamples.</param>
    /// <param name="bootstraps">Number of resamples of the texts.</param>
    /// <param name="permutations">Number of random pairings.</param>
    /// <param name="options">As for the estimate.</param>
    /// <returns>The interval; null where the estimate itself failed.</returns>
    public static MutualInformationInterval? Compute(IReadOnlyList<Tensor> forgetDomains, Tensor retain, LayerMutualInformation observed,
        int seed, int bootstraps = 100, int permutations = 100, EntropyOptions? options = null)
    {
        if (observed.Value is not { } value) return null;
        using var guard = no_grad();
        using var scope = NewDisposeScope();
        var skip = (options ?? new EntropyOptions()).SkipUpToDimensions;
        var forget = forgetDomains.Select(set => FewerColumns(set, skip)).ToArray();
        var kept = FewerColumns(retain, skip);
        var random = new Random(seed);

        var resampled = Values(bootstraps, () =>
        {
            var common = Resample(0, (int)forget.Append(kept).Min(set => set.shape[0]), random);
            var sets = forget
                .Append(kept)
                .Select(set => Rows(set, [.. common, .. Resample(common.Length, (int)set.shape[0], random)]))
                .ToArray();
            return MutualInformation.OfLayer(sets[..^1], sets[^1], observed.Eta, options).Value;
        });
        var marginals = observed.WithRetain.Select(e => e.First).Append(observed.WithRetain[0].Second).ToArray();
        var permuted = Values(permutations, () =>
            MutualInformation
                .OfLayer(
                    [.. forget.Select(set => Rows(set, Permutation((int)set.shape[0], random)))],
                    kept,
                    marginals,
                    observed.Eta,
                    options
                )
                .Value
        );

        var shift = resampled.Length == 0 ? 0 : value - resampled.Average();
        var enough = resampled.Length > bootstraps / 2;
        var enoughPermuted = permuted.Length > permutations / 2;
        return new MutualInformationInterval(
            enough ? Quantile(resampled, 0.025) + shift : null,
            enough ? Quantile(resampled, 0.975) + shift : null,
            resampled.Length,
            enoughPermuted ? permuted.Average() : null,
            enoughPermuted ? Quantile(permuted, 0.025) : null,
            enoughPermuted ? Quantile(permuted, 0.975) : null,
            enoughPermuted ? (1.0 + permuted.Count(p => p >= value)) / (1 + permuted.Length) : null,
            permuted.Length
        );
    }

    /// <summary>
    /// The same points in at most n dimensions where there are more; entropies do not change under rotation. Data that must not be reduced
    /// stay as they are.
    /// </summary>
    private static Tensor FewerColumns(Tensor set, int skipUpToDimensions) =>
        set.shape[1] > set.shape[0] && set.shape[0] > skipUpToDimensions ? PrincipalComponents.Rotate(set).Scores : set;

    private static double[] Values(int count, Func<double?> draw)
    {
        var values = new List<double>();
        for (var i = 0; i < count; i++)
        {
            using var scope = NewDisposeScope();
            if (draw() is { } value) values.Add(value);
        }
        return [.. values];
    }

    private static Tensor Rows(Tensor set, int[] rows) => set.index_select(0, tensor(rows.Select(r => (long)r).ToArray()).to(set.device));

    private static int[] Resample(int from, int to, Random random) =>
        [.. Enumerable.Range(from, to - from).Select(_ => random.Next(from, to))];

    private static int[] Permutation(int count, Random random)
    {
        var order = Enumerable.Range(0, count).ToArray();
        random.Shuffle(order);
        return order;
    }

    private static double Quantile(double[] values, double share)
    {
        var sorted = values.Order().ToArray();
        var position = share * (sorted.Length - 1);
        var below = (int)position;
        return below + 1 >= sorted.Length ? sorted[^1] : sorted[below] + ((position - below) * (sorted[below + 1] - sorted[below]));
    }
}
