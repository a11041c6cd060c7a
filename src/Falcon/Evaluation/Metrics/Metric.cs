using Falcon.Results;

namespace Falcon.Evaluation.Metrics;

/// <summary>Metric values from one number an example.</summary>
internal static class Metric
{
    public const string Higher = "higher";

    public const string Lower = "lower";

    public const string CloserToZero = "closer to 0";

    public const string CloserToHalf = "closer to 0.5";

    /// <summary>A mean with its bootstrap interval.</summary>
    public static MetricValue Mean(IReadOnlyList<double> values, string direction, long seed, string definition)
    {
        var interval = Bootstrap.Of(values.Count, seed, drawn => drawn.Average(i => values[i]));
        return new MetricValue(values.Average(), interval?.Low, interval?.High, direction, null, values.Count, definition);
    }

    /// <summary>A share of yes answers with Wilson's interval.</summary>
    public static MetricValue Share(IReadOnlyCollection<bool> values, string direction, string definition)
    {
        var successes = values.Count(value => value);
        var interval = Intervals.Wilson(successes, values.Count);
        return new MetricValue(successes / (double)values.Count, interval.Low, interval.High, direction, null, values.Count, definition);
    }
}
