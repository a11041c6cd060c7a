namespace Falcon.Evaluation.Suites;

/// <summary>One window of a long text: what the model reads and what it predicts.</summary>
/// <param name="Input">Tokens fed to the model; the last <c>Targets.Length</c> logits are scored.</param>
/// <param name="Targets">Tokens whose log-probabilities count; every token of the text is a target of exactly one window.</param>
public sealed record RollingWindow(int[] Input, int[] Targets)
{
    /// <summary>The part of the input that is only context: all before the first target.</summary>
    public int[] Context => Input[..(Input.Length - Targets.Length + 1)];
}

/// <summary>
/// Cuts a text into the windows over which the lm-evaluation-harness sums its log-likelihood (<c>loglikelihood_rolling</c>).
/// </summary>
public static class RollingWindows
{
    /// <summary>
    /// First window: prefix token and the first tokens. Then windows of at most <paramref name="maxLength"/> -
    /// <paramref name="contextLength"/> + 1 further targets, each with the <paramref name="maxLength"/> tokens before its last target as
    /// input. An empty text has no window.
    /// </summary>
    /// <param name="tokens">The text's tokens.</param>
    /// <param name="prefixToken">What predicts the first token: beginning of sequence, else end of sequence.</param>
    /// <param name="maxLength">Longest input of the model.</param>
    /// <param name="contextLength">Tokens of context that full later windows start with, 1 to <paramref name="maxLength"/>.</param>
    public static RollingWindow[] Of(ReadOnlySpan<int> tokens, int prefixToken, int maxLength, int contextLength = 1)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(contextLength, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(contextLength, maxLength);
        if (tokens.IsEmpty) return [];
        var first = Math.Min(maxLength, tokens.Length);
        var windows = new List<RollingWindow> { new([prefixToken, .. tokens[..(first - 1)]], tokens[..first].ToArray()) };
        for (var done = first; done < tokens.Length;)
        {
            var end = Math.Min(tokens.Length, done + maxLength - contextLength + 1);
            windows.Add(new RollingWindow(tokens[(end - 1 - maxLength)..(end - 1)].ToArray(), tokens[done..end].ToArray()));
            done = end;
        }
        return [.. windows];
    }
}
