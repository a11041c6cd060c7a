using Falcon.Runtime;

namespace Falcon.Evaluation.Metrics;

/// <summary>
/// Percentile bootstrap (Efron 1979) of any statistic: 2.5 % and 97.5 % points over samples of the examples drawn with replacement.
/// </summary>
internal static class Bootstrap
{
    private const int Resamples = 1000;

    /// <summary>Interval of a statistic; null for a single example, of which nothing can be drawn.</summary>
    /// <param name="count">Number of examples.</param>
    /// <param name="seed">Seed of the draws; the same seed gives the same interval.</param>
    /// <param name="statistic">Value for the examples of these indices.</param>
    public static Interval? Of(int count, long seed, Func<int[], double> statistic) => Of([count], seed, drawn => statistic(drawn[0]));

    /// <summary>The same for a statistic over several sets, each drawn by itself; null when no set has more than one example.</summary>
    public static Interval? Of(int[] counts, long seed, Func<int[][], double> statistic)
    {
        if (counts.Max() < 2) return null;
        var random = new SeededRandom((ulong)seed, "bootstrap");
        int[][] drawn = [.. counts.Select(count => new int[count])];
        var values = new double[Resamples];
        for (var resample = 0; resample < Resamples; resample++)
        {
            foreach (var set in drawn)
                for (var i = 0; i < set.Length; i++) set[i] = random.Next(set.Length);
            values[resample] = statistic(drawn);
        }

        Array.Sort(values);
        return new Interval(Intervals.Quantile(values, 0.025), Intervals.Quantile(values, 0.975));
    }
}
