using Falcon.Runtime;

namespace Falcon.Research.Layers;

/// <summary>
/// Spearman's rank correlation (Spearman 1904): Pearson's correlation of the ranks, equal values having the mean of their ranks.
/// </summary>
internal static class RankCorrelation
{
    private const int Permutations = 20000;

    /// <summary>The correlation, in -1..1; 0 where one side does not vary.</summary>
    public static double Spearman(IReadOnlyList<double> first, IReadOnlyList<double> second)
    {
        var (a, b) = (Ranks(first), Ranks(second));
        var mean = (a.Length + 1) / 2.0;
        double products = 0, squaresA = 0, squaresB = 0;
        for (var i = 0; i < a.Length; i++)
        {
            products += (a[i] - mean) * (b[i] - mean);
            squaresA += (a[i] - mean) * (a[i] - mean);
            squaresB += (b[i] - mean) * (b[i] - mean);
        }

        return squaresA == 0 || squaresB == 0 ? 0 : products / Math.Sqrt(squaresA * squaresB);
    }

    /// <summary>
    /// Two-sided p-value: the share of random pairings with a correlation at least as far from 0, (1 + count) / (1 + pairings).
    /// </summary>
    public static double PermutationPValue(IReadOnlyList<double> first, IReadOnlyList<double> second, SeededRandom random)
    {
        var observed = Math.Abs(Spearman(first, second));
        var atLeast = Enumerable
            .Range(0, Permutations)
            .Count(_ => Math.Abs(Spearman(first, [.. random.Permutation(second.Count).Select(i => second[i])])) >= observed - 1e-12);
        return (1.0 + atLeast) / (1 + Permutations);
    }

    private static double[] Ranks(IReadOnlyList<double> values) =>
        [.. values.Select(value => values.Count(other => other < value) + (values.Count(other => other == value) + 1) / 2.0)];
}
