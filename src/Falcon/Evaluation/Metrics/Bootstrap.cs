using Falcon.Runtime;

namespace Falcon.Evaluation.Metrics;

/// <summary>
/// Percentile bootstrap (Efron 1979) of any statistic: the 2.5 % and 97.5 % points of its values over 1000 samples of the examples, drawn
/// with replacement.
/// </summary>
public static class Bootstrap
{
    private const int Resamples = 1000;

    /// <summary>The 95 % interval of a statistic.</summary>
    /// <param name="count">Number of examples.</param>
    /// <param name="seed">Seed of the draws; the same seed gives the same interval.</param>
    /// <param name="statistic">Gives the value for examples, named by their indices; an index may come more than once.</param>
    /// <returns>The interval; null for a single example, which has no spread.</returns>
    public static Interval? Of(int count, long seed, Func<int[], double> statistic) => Of([count], seed, drawn => statistic(drawn[0]));

    /// <summary>The 95 % interval of a statistic over several sets, of which each is drawn by itself.</summary>
    /// <param name="counts">Number of examples of each set; at least one set.</param>
    /// <param name="seed">Seed of the draws.</param>
    /// <param name="statistic">Gives the value for the drawn indices of each set.</param>
    /// <returns>The interval; null where no set has more than one example.</returns>
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
