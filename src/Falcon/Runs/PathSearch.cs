using Falcon.Results;

namespace Falcon.Runs;

/// <summary>
/// Searches the straight line from the original (share 0) to the trained parameters (share 1) for the point closest to a model that never
/// learned the forget set. Forgetting starts late and then grows steeply with the share, so the end of a run falls short of that point or
/// overshoots it by chance. The search finds it.
/// </summary>
internal static class PathSearch
{
    private const int Halvings = 7;
    private static readonly double[] Refinements = [0.04, 0.02];
    private const double CloseEnough = 0.02;

    /// <summary>
    /// Bisects for the share at which the answer loss crosses its target, if the loss at share 1 is above it. Then looks on both sides for
    /// a smaller distance. Last, if the best point is over the budget, bisects for the largest share within it. Every measured point is
    /// offered to the caller.
    /// </summary>
    /// <param name="end">The measurement at share 1.</param>
    /// <param name="targetLoss">Answer loss of a model that never learned.</param>
    /// <param name="refine">Whether the distance uses more than the loss (truth ratios of a reference).</param>
    /// <param name="budget">Largest utility loss; null for no limit.</param>
    /// <param name="measure">Measures and offers the point at a share.</param>
    public static void Run(Measurement end, double targetLoss, bool refine, double? budget, Func<double, Measurement> measure)
    {
        var best = end;
        Measurement At(double share)
        {
            var found = measure(share);
            if (found.IsBetterThan(best, budget)) best = found;
            return found;
        }

        var landed = end;
        if (end.AnswerLoss > targetLoss)
        {
            var (low, high) = (0.0, 1.0);
            for (var i = 0; i < Halvings && Math.Abs(landed.AnswerLoss / targetLoss - 1) > CloseEnough; i++)
            {
                landed = At(i == 0 ? 0.75 : (low + high) / 2);
                if (landed.AnswerLoss > targetLoss) high = landed.Share;
                else low = landed.Share;
            }
        }

        if (refine)
            foreach (var step in Refinements)
            {
                var (before, centre) = (best, best.IsWithin(budget) ? best.Share : landed.Share);
                At(centre - step);
                if (ReferenceEquals(best, before) && centre + step <= 1) At(centre + step);
            }

        if (best.IsWithin(budget)) return;
        var (inside, outside) = (0.0, best.Share);
        for (var i = 0; i < Halvings; i++)
        {
            var found = At((inside + outside) / 2);
            if (found.IsWithin(budget)) inside = found.Share;
            else outside = found.Share;
        }
    }
}
