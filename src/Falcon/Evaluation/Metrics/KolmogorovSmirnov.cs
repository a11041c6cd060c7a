namespace Falcon.Evaluation.Metrics;

/// <summary>Result of a two-sample Kolmogorov-Smirnov test.</summary>
/// <param name="Statistic">D: the largest difference of the two empirical distribution functions, in 0..1.</param>
/// <param name="PValue">Exact two-sided probability of a D at least as large when both samples come from one distribution.</param>
public readonly record struct KolmogorovSmirnovResult(double Statistic, double PValue);

/// <summary>
/// Two-sided two-sample Kolmogorov-Smirnov test with the exact p-value (Hodges 1958). TOFU's forget quality is the p-value between
/// the truth ratios of the unlearned model and of the model trained without the forget set; being rank-based, ratios, inverses and
/// logarithms give the same.
/// </summary>
public static class KolmogorovSmirnov
{
    /// <summary>
    /// Tests whether two samples come from one distribution. Time grows with n·m: 10,000 a side take up to 3 seconds. A p-value below about
    /// 1e-305 comes out as 0 or without all its digits.
    /// </summary>
    /// <param name="first">n values; ties, inside and across the samples, are allowed.</param>
    /// <param name="second">m values.</param>
    /// <exception cref="ArgumentException">A sample is empty or holds a NaN.</exception>
    public static KolmogorovSmirnovResult Test(ReadOnlySpan<double> first, ReadOnlySpan<double> second)
    {
        var n = first.Length;
        var m = second.Length;
        var distance = Distance(Sorted(first, nameof(first)), Sorted(second, nameof(second)));
        return new KolmogorovSmirnovResult(distance / ((double)n * m), ExactPValue(n, m, distance));
    }

    /// <summary>d = max |i·m - j·n| over the pooled values, i and j counting the values up to there; D = d / (n·m).</summary>
    private static long Distance(double[] first, double[] second)
    {
        long n = first.Length, m = second.Length, i = 0, j = 0, distance = 0;
        while (i < n && j < m)
        {
            var value = Math.Min(first[i], second[j]);
            while (i < n && first[i] == value) i++;
            while (j < m && second[j] == value) j++;
            distance = Math.Max(distance, Math.Abs((i * m) - (j * n)));
        }
        return distance;
    }

    /// <summary>
    /// Probability that a uniformly drawn lattice path from (0,0) to (n,m) meets a point with |i·m - j·n| >= d.
    /// The path is walked as drawing without replacement, and the mass that leaves the band is summed: only positive terms, so tiny values
    /// keep their digits.
    /// </summary>
    private static double ExactPValue(int n, int m, long distance)
    {
        if (distance == 0) return 1;
        var inverse = new double[n + m + 1]; // 1 / steps left
        for (var left = 1; left <= n + m; left++) inverse[left] = 1.0 / left;

        var inside = new double[m + 2]; // inside[j]: probability of being at (i, j) without having left the band
        inside[0] = 1;
        var outside = 0.0;
        long previousLow = 0, previousHigh = 0;
        for (long i = 0; i <= n; i++)
        {
            var low = Math.Max(0, FloorDivide((i * m) - distance, n) + 1);
            var high = Math.Min(m, FloorDivide((i * m) + distance - 1, n));
            if (i > 0)
            {
                // A step of the first sample from row i - 1; below the band it leaves.
                for (var j = previousLow; j <= previousHigh; j++)
                {
                    inside[j] *= (n - i + 1) * inverse[n + m - i + 1 - j];
                    if (j < low) (outside, inside[j]) = (outside + inside[j], 0);
                }
            }
            for (var j = low; j <= high; j++)
            {
                var up = inside[j] * (m - j) * inverse[Math.Max(1, n + m - i - j)];
                if (j < high) inside[j + 1] += up;
                else outside += up;
            }
            (previousLow, previousHigh) = (low, high);
        }
        return Math.Min(1, outside);
    }

    private static long FloorDivide(long numerator, long denominator) =>
        (numerator / denominator) - (numerator % denominator < 0 ? 1 : 0);

    private static double[] Sorted(ReadOnlySpan<double> sample, string name)
    {
        if (sample.IsEmpty) throw new ArgumentException("the sample is empty", name);
        var values = sample.ToArray();
        if (values.Any(double.IsNaN)) throw new ArgumentException("the sample holds a NaN", name);
        Array.Sort(values);
        return values;
    }
}
