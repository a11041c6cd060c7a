namespace Falcon.Evaluation.Metrics;

/// <summary>
/// How much of an answer greedy prediction reproduces with the true answer as context (OpenUnlearning). Both functions take one flag for
/// each token: whether the most likely token is the true one. The caller leaves out the last labelled token, the end of sequence.
/// </summary>
public static class Memorization
{
    /// <summary>
    /// Share of the tokens that are the most likely ones, in 0..1; null without tokens, and such an example is left out of a mean.
    /// </summary>
    public static double? ExactMemorization(ReadOnlySpan<bool> hits)
    {
        if (hits.IsEmpty) return null;
        var count = 0;
        foreach (var hit in hits) count += hit ? 1 : 0;
        return count / (double)hits.Length;
    }

    /// <summary>
    /// 1 - k/n with the smallest k such that every token from k on is hit; 0 without tokens.
    /// When the last token is missed the value is 1/n as in the published code, the same as when only the last token is hit.
    /// </summary>
    public static double ExtractionStrength(ReadOnlySpan<bool> hits)
    {
        if (hits.IsEmpty) return 0;
        var start = hits.Length - 1;
        while (start > 0 && hits[start] && hits[start - 1]) start--;
        return 1 - (start / (double)hits.Length);
    }
}
