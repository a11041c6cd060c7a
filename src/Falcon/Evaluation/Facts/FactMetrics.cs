using System.Globalization;
using Falcon.Evaluation.Metrics;
using Falcon.Results;

namespace Falcon.Evaluation.Facts;

/// <summary>
/// Metrics over questions of which several are wordings of one fact. Wordings are not independent, so intervals are over facts: shares have
/// Wilson's interval for as many examples as there are facts, means a bootstrap that draws facts with all their wordings.
/// </summary>
/// <param name="facts">The fact of each question.</param>
/// <param name="seed">Seed of the bootstrap.</param>
internal sealed class FactMetrics(IReadOnlyList<string> facts, long seed)
{
    private readonly int[][] _groups = [.. facts.Index().GroupBy(item => item.Item, item => item.Index).Select(group => group.ToArray())];

    /// <summary>A share of successes (1 and 0).</summary>
    /// <param name="values">One value for each question.</param>
    /// <param name="definition">What was computed.</param>
    public MetricValue Share(IReadOnlyList<double> values, string definition)
    {
        // Kish's number of examples, (sum m)^2 / sum m^2 for facts of m wordings; the number of facts where all have equally many.
        var independent = (double)values.Count * values.Count / _groups.Sum(group => (double)group.Length * group.Length);
        var interval = Intervals.Wilson(values.Average(), independent);
        return Value(values, interval, definition, "Wilson's interval");
    }

    /// <summary>A mean.</summary>
    /// <param name="values">One value for each question.</param>
    /// <param name="definition">What was computed.</param>
    public MetricValue Mean(IReadOnlyList<double> values, string definition)
    {
        var sums = _groups.Select(group => group.Sum(i => values[i])).ToArray();
        var interval = Bootstrap.Of(
            _groups.Length,
            seed,
            drawn => drawn.Sum(fact => sums[fact]) / drawn.Sum(fact => (double)_groups[fact].Length)
        );
        return Value(values, interval, definition, "bootstrap");
    }

    private MetricValue Value(IReadOnlyList<double> values, Interval? interval, string definition, string kind) =>
        new(
            values.Average(),
            interval?.Low,
            interval?.High,
            Metric.Higher,
            null,
            values.Count,
            string.Create(CultureInfo.InvariantCulture, $"{definition}; {kind} over {_groups.Length} facts")
        );
}
