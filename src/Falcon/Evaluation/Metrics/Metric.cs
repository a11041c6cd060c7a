using Falcon.Results;

namespace Falcon.Evaluation.Metrics;

/// <summary>Makes metric values from one number for each example.</summary>
public static class Metric
{
    /// <summary>Direction of a metric that is better the higher it is.</summary>
    public const string Higher = "higher";

    /// <summary>Direction of a metric that is better the lower it is.</summary>
    public const string Lower = "lower";

    /// <summary>Direction of a metric that is best at 0.</summary>
    public const string CloserToZero = "closer to 0";

    /// <summary>Direction of a metric that is best at 0.5.</summary>
    public const string CloserToHalf = "closer to 0.5";

    /// <summary>A mean with its 95 % bootstrap interval (<see cref="Bootstrap"/>).</summary>
    /// <param name="values">One value for each example; at least one.</param>
    /// <param name="direction">Which way is better, such as <see cref="Higher"/>.</param>
    /// <param name="seed">Seed of the bootstrap.</param>
    /// <param name="definition">What was computed, in one sentence.</param>
    /// <exception cref="InvalidOperationException">No value.</exception>
    public static MetricValue Mean(IReadOnlyList<double> values, string direction, long seed, string definition)
    {
        var interval = Bootstrap.Of(values.Count, seed, drawn => drawn.Average(i => values[i]));
        return new MetricValue(values.Average(), interval?.Low, interval?.High, direction, null, values.Count, definition);
    }

    /// <summary>A share of successes, 0 to 1, with Wilson's 95 % interval (<see cref="Intervals.Wilson(int, int)"/>).</summary>
    /// <param name="values">One flag for each example; at least one.</param>
    /// <param name="direction">Which way is better, such as <see cref="Higher"/>.</param>
    /// <param name="definition">What was computed, in one sentence.</param>
    /// <exception cref="ArgumentOutOfRangeException">No value.</exception>
    public static MetricValue Share(IReadOnlyCollection<bool> values, string direction, string definition)
    {
        var successes = values.Count(value => value);
        var interval = Intervals.Wilson(successes, values.Count);
        return new MetricValue(successes / (double)values.Count, interval.Low, interval.High, direction, null, values.Count, definition);
    }
}
