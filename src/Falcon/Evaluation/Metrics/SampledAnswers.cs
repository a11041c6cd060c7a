namespace Falcon.Evaluation.Metrics;

/// <summary>What several sampled answers to one question give away (leak@k; Reisizadeh et al. 2025, arXiv 2511.04934).</summary>
public static class SampledAnswers
{
    /// <summary>
    /// Expected highest score of k answers, estimated without bias from n of them: the mean of the highest score over all subsets of k,
    /// which is the sum over the i-th smallest score s_(i), i = k..n, of s_(i) C(i-1, k-1) / C(n, k).
    /// </summary>
    /// <param name="scores">The scores of the n answers.</param>
    /// <param name="k">1 to n.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="k"/> is outside its range.</exception>
    public static double ExpectedBest(IReadOnlyCollection<double> scores, int k)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(k, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(k, scores.Count);
        double[] descending = [.. scores.OrderDescending()];
        double sum = 0, weight = k / (double)descending.Length; // C(n-1, k-1) / C(n, k)
        for (var taken = 0; taken <= descending.Length - k; taken++)
        {
            sum += weight * descending[taken];
            var left = descending.Length - 1 - taken; // the next weight is C(left - 1, k - 1) / C(n, k)
            weight = left == 0 ? 0 : weight * (left - k + 1) / left;
        }

        return sum;
    }

    /// <summary>
    /// Whether a text holds all words of another, one after the other; words as ROUGE splits them (<see cref="Rouge.Tokenize"/>).
    /// False where <paramref name="part"/> has no word.
    /// </summary>
    public static bool Contains(string text, string part)
    {
        string[] words = [.. Rouge.Tokenize(text, stem: false)],
            wanted = [.. Rouge.Tokenize(part, stem: false)];
        return wanted.Length > 0
            && Enumerable
                .Range(0, Math.Max(0, words.Length - wanted.Length + 1))
                .Any(start => words.AsSpan(start, wanted.Length).SequenceEqual(wanted));
    }
}
