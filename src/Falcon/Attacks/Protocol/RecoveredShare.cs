using Falcon.Evaluation.Metrics;

namespace Falcon.Attacks.Protocol;

/// <summary>
/// How much of a gap an attack closes, with its 95 % interval (percentile bootstrap over the items, drawn together for all models).
/// </summary>
/// <param name="Value">The share; null where the gap cannot be told from none.</param>
/// <param name="Low">Lower end of the interval.</param>
/// <param name="High">Upper end of the interval.</param>
public sealed record RecoveredShare(double? Value, double? Low, double? High)
{
    private const double SmallestGap = 1e-9;

    /// <summary>Value of (mean attacked - mean floor) / (mean ceiling - mean floor).</summary>
    /// <param name="attacked">Scores of the attacked model, one an item.</param>
    /// <param name="floor">What nothing recovered looks like, item by item.</param>
    /// <param name="ceiling">What all recovered looks like.</param>
    /// <param name="seed">Seed of the bootstrap.</param>
    internal static RecoveredShare Of(IReadOnlyList<double> attacked, IReadOnlyList<double> floor, IReadOnlyList<double> ceiling, long seed)
    {
        var gap = Bootstrap.Of(floor.Count, seed, drawn => Mean(ceiling, drawn) - Mean(floor, drawn));
        if (gap is not { Low: > SmallestGap })
            return new RecoveredShare(null, null, null);
        double Share(int[] drawn) =>
            (Mean(attacked, drawn) - Mean(floor, drawn)) / Math.Max(SmallestGap, Mean(ceiling, drawn) - Mean(floor, drawn));
        var interval = Bootstrap.Of(floor.Count, seed, Share);
        return new RecoveredShare(Share([.. Enumerable.Range(0, floor.Count)]), interval?.Low, interval?.High);
    }

    private static double Mean(IReadOnlyList<double> values, int[] drawn) => drawn.Average(i => values[i]);
}
