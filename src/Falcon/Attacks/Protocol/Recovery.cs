using Falcon.Evaluation.Metrics;
using Falcon.Results;

namespace Falcon.Attacks.Protocol;

/// <summary>What the scores of two or three models under one attack say about recovery.</summary>
internal static class Recovery
{
    private const double SmallestGap = 1e-9;

    /// <summary>
    /// (mean attacked - mean floor) / (mean ceiling - mean floor), with a 95 % interval by percentile bootstrap over the questions, which
    /// are resampled together for all models.
    /// </summary>
    /// <param name="attacked">Scores of the attacked model, one for each question.</param>
    /// <param name="floor">The scores if nothing were recovered.</param>
    /// <param name="ceiling">The scores if everything were recovered.</param>
    /// <param name="seed">Seed of the bootstrap.</param>
    public static RecoveredShare Share(
        IReadOnlyList<double> attacked,
        IReadOnlyList<double> floor,
        IReadOnlyList<double> ceiling,
        long seed
    )
    {
        var gap = Bootstrap.Of(floor.Count, seed, drawn => Mean(ceiling, drawn) - Mean(floor, drawn));
        if (gap is not { Low: > SmallestGap })
            return new RecoveredShare(null, null, null);
        double ShareOf(int[] drawn) =>
            (Mean(attacked, drawn) - Mean(floor, drawn)) / Math.Max(SmallestGap, Mean(ceiling, drawn) - Mean(floor, drawn));
        var interval = Bootstrap.Of(floor.Count, seed, ShareOf);
        return new RecoveredShare(ShareOf([.. Enumerable.Range(0, floor.Count)]), interval?.Low, interval?.High);
    }

    /// <summary>
    /// How much faster the unlearned model learns than the control: mean difference of <see cref="AttackScores.Gain"/>, question by
    /// question. Null where the attack does not train.
    /// </summary>
    public static MetricValue? Faster(IReadOnlyList<double> unlearned, IReadOnlyList<double> control, ulong seed) =>
        unlearned.Count == 0 || unlearned.Count != control.Count
            ? null
            : Metric.Mean(
                [.. unlearned.Zip(control, (ours, theirs) => ours - theirs)],
                Metric.Lower,
                (long)seed,
                "mean gain over the course of the training less that of the never-taught control"
            );

    private static double Mean(IReadOnlyList<double> values, int[] drawn) => drawn.Average(i => values[i]);
}
