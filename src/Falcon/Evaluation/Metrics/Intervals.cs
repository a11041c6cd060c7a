namespace Falcon.Evaluation.Metrics;

/// <summary>A 95 % confidence interval.</summary>
/// <param name="Low">Lower end.</param>
/// <param name="High">Upper end.</param>
public readonly record struct Interval(double Low, double High);

/// <summary>95 % confidence intervals in closed form; <see cref="Bootstrap"/> gives those of other statistics.</summary>
public static class Intervals
{
    // The 97.5 % point of the standard normal distribution.
    private const double NormalQuantile = 1.959963984540054;

    /// <summary>
    /// Wilson's score interval of a proportion (Wilson 1927): (p + z²/2n ± z·sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n), z = 1.96.
    /// </summary>
    /// <param name="successes">Number of successes, 0 to <paramref name="trials"/>.</param>
    /// <param name="trials">Number of trials, 1 or more.</param>
    public static Interval Wilson(int successes, int trials)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(trials, 1);
        ArgumentOutOfRangeException.ThrowIfNegative(successes);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(successes, trials);
        return Wilson(successes / (double)trials, trials);
    }

    /// <summary>The same for a share over examples that count only as so many independent ones.</summary>
    /// <param name="share">The share of successes, 0 to 1.</param>
    /// <param name="n">Number of independent examples, above 0.</param>
    public static Interval Wilson(double share, double n)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(n);
        var square = NormalQuantile * NormalQuantile;
        var centre = share + (square / (2 * n));
        var margin = NormalQuantile * Math.Sqrt((share * (1 - share) / n) + (square / (4 * n * n)));
        var scale = 1 + (square / n);
        return new Interval(Math.Max(0, (centre - margin) / scale), Math.Min(1, (centre + margin) / scale));
    }

    /// <summary>Linear interpolation between the order statistics.</summary>
    internal static double Quantile(double[] sorted, double share)
    {
        var position = share * (sorted.Length - 1);
        var below = (int)position;
        return below + 1 == sorted.Length ? sorted[below] : sorted[below] + ((position - below) * (sorted[below + 1] - sorted[below]));
    }
}
