using Falcon.Runtime;

namespace Falcon.Attacks.Inputs;

/// <summary>
/// Greedy coordinate search (Zou et al. 2023, arXiv 2307.15043, algorithm 1). Every step draws swaps of one token each, evenly over
/// positions and promising tokens, scores those that are admissible in one batch, and moves to the best of them if it is better than the
/// current prefix. So the loss never rises.
/// </summary>
internal sealed class PrefixSearch
{
    /// <summary>Gives the promising tokens for every position of a prefix.</summary>
    public required Func<int[], int[][]> Promising { get; init; }

    /// <summary>Gives the losses of prefixes.</summary>
    public required Func<IReadOnlyList<int[]>, double[]> Losses { get; init; }

    /// <summary>Whether a prefix may be used.</summary>
    public required Func<int[], bool> Admissible { get; init; }

    /// <summary>Number of swaps drawn in a step.</summary>
    public required int Candidates { get; init; }

    /// <summary>Searches from a start.</summary>
    /// <param name="start">The first prefix.</param>
    /// <param name="steps">Number of steps.</param>
    /// <param name="seed">Seed of the draws.</param>
    /// <param name="after">Called after every step with the number of finished steps, the prefix and its loss.</param>
    /// <param name="cancellation">Stops between steps.</param>
    /// <returns>The best prefix and its loss.</returns>
    public (int[] Prefix, double Loss) Run(
        int[] start,
        int steps,
        ulong seed,
        Action<int, int[], double>? after = null,
        CancellationToken cancellation = default
    )
    {
        var (prefix, loss) = (start, Losses([start])[0]);
        for (var step = 0; step < steps; step++)
        {
            cancellation.ThrowIfCancellationRequested();
            var random = new SeededRandom(seed, "swaps of a prefix", step);
            var promising = Promising(prefix);
            List<int[]> candidates = [];
            for (var i = 0; i < Candidates; i++)
            {
                var position = random.Next(prefix.Length);
                var candidate = prefix.ToArray();
                candidate[position] = promising[position][random.Next(promising[position].Length)];
                if (candidate[position] != prefix[position] && Admissible(candidate)) candidates.Add(candidate);
            }

            if (candidates.Count > 0)
            {
                var losses = Losses(candidates);
                var best = Array.IndexOf(losses, losses.Min());
                if (losses[best] < loss) (prefix, loss) = (candidates[best], losses[best]);
            }

            after?.Invoke(step + 1, prefix, loss);
        }

        return (prefix, loss);
    }
}
