using Falcon.Runtime;

namespace Falcon.Attacks.Inputs;

/// <summary>
/// The search of the enhanced attack (Thompson and Sklar 2024, arXiv 2407.17447). It keeps a buffer of prefixes. Every step takes the best
/// one out, makes new prefixes of it, and keeps those with the lowest losses. The edit of a step is drawn at random: a swap from the
/// gradient (probability 0.7), a deletion, an insertion, or a swap proposed by the model (0.1 each). Below the minimum length only
/// insertions are drawn, at the maximum length none.
/// </summary>
internal sealed class BufferedPrefixSearch
{
    /// <summary>Gives the promising tokens for every position of a prefix.</summary>
    public required Func<int[], int[][]> Promising { get; init; }

    /// <summary>Gives tokens that the model itself would write after a beginning. The number seeds the draws.</summary>
    public required Func<IReadOnlyList<int>, long, int[]> Proposals { get; init; }

    /// <summary>Gives the losses of prefixes.</summary>
    public required Func<IReadOnlyList<int[]>, double[]> Losses { get; init; }

    /// <summary>Whether a prefix may be used.</summary>
    public required Func<int[], bool> Admissible { get; init; }

    /// <summary>Number of new prefixes in a step.</summary>
    public required int Candidates { get; init; }

    /// <summary>Number of prefixes in the buffer.</summary>
    public required int BufferSize { get; init; }

    /// <summary>Minimum number of tokens.</summary>
    public required int MinLength { get; init; }

    /// <summary>Maximum number of tokens.</summary>
    public required int MaxLength { get; init; }

    private enum Operation
    {
        GradientSwap,
        Delete,
        Insert,
        ProposedSwap,
    }

    /// <summary>Searches from a start.</summary>
    /// <param name="start">The first prefix.</param>
    /// <param name="steps">Number of steps.</param>
    /// <param name="seed">Seed of the draws.</param>
    /// <param name="after">
    /// Called after every step with the number of finished steps, the best prefix so far that is long enough, and its loss.
    /// </param>
    /// <param name="cancellation">Stops between steps.</param>
    /// <returns>The best prefix that is long enough (else the start), and its loss.</returns>
    public (int[] Prefix, double Loss) Run(
        int[] start,
        int steps,
        ulong seed,
        Action<int, int[], double>? after = null,
        CancellationToken cancellation = default
    )
    {
        List<(int[] Prefix, double Loss)> buffer = [(start, Losses([start])[0])];
        var best = (Prefix: start, Loss: start.Length >= MinLength ? buffer[0].Loss : double.PositiveInfinity);
        for (var step = 0; step < steps; step++)
        {
            cancellation.ThrowIfCancellationRequested();
            var random = new SeededRandom(seed, "edits of a prefix", step);
            var candidates = Expand(buffer[0].Prefix, random, step);
            if (candidates.Count > 0)
            {
                buffer = [.. buffer.Skip(1).Concat(candidates.Zip(Losses(candidates))).OrderBy(one => one.Item2).Take(BufferSize)];
                if (
                    buffer
                        .Where(one => one.Prefix.Length >= MinLength && one.Loss < best.Loss)
                        .Select(one => ((int[], double)?)one)
                        .FirstOrDefault() is
                    { } better
                )
                    best = better;
            }

            after?.Invoke(step + 1, best.Prefix, best.Loss);
        }

        return best;
    }

    private List<int[]> Expand(int[] prefix, SeededRandom random, long step)
    {
        var operation = Draw(prefix.Length, random);
        var promising = operation == Operation.GradientSwap ? Promising(prefix) : [];
        Dictionary<int, int[]> proposed = [];
        List<int[]> candidates = [];
        for (var i = 0; i < Candidates; i++)
        {
            var position = random.Next(operation == Operation.Insert ? prefix.Length + 1 : prefix.Length);
            if (operation is Operation.Insert or Operation.ProposedSwap && !proposed.ContainsKey(position))
                proposed[position] = Proposals(prefix[..position], step * 1000 + position);
            int[] candidate = operation switch
            {
                Operation.GradientSwap => [.. prefix[..position], Pick(promising[position], random), .. prefix[(position + 1)..]],
                Operation.Delete => [.. prefix[..position], .. prefix[(position + 1)..]],
                Operation.Insert => [.. prefix[..position], Pick(proposed[position], random), .. prefix[position..]],
                _ => [.. prefix[..position], Pick(proposed[position], random), .. prefix[(position + 1)..]],
            };
            if (
                Admissible(candidate)
                && !candidate.AsSpan().SequenceEqual(prefix)
                && !candidates.Any(other => other.AsSpan().SequenceEqual(candidate))
            )
                candidates.Add(candidate);
        }

        return candidates;
    }

    private Operation Draw(int length, SeededRandom random)
    {
        var drawn = random.NextDouble() switch
        {
            < 0.7 => Operation.GradientSwap,
            < 0.8 => Operation.Delete,
            < 0.9 => Operation.Insert,
            _ => Operation.ProposedSwap,
        };
        if (length < MinLength)
            return Operation.Insert;
        var impossible = (drawn == Operation.Delete && length <= MinLength) || (drawn == Operation.Insert && length >= MaxLength);
        return impossible ? Operation.GradientSwap : drawn;
    }

    private static int Pick(int[] tokens, SeededRandom random) => tokens[random.Next(tokens.Length)];
}
