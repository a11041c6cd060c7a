using Falcon.Runtime;

namespace Falcon.Evaluation.Metrics;

/// <summary>The model input that scores a continuation after a context, cut as the lm-evaluation-harness cuts it.</summary>
/// <param name="Input">The model input: the last max_length + 1 tokens of context and continuation, without the last one.</param>
/// <param name="FirstScored">
/// Index into the logits of the first scored row; <c>logits[FirstScored + i]</c> predicts <c>Targets[i]</c>.
/// </param>
/// <param name="Targets">The continuation's tokens.</param>
public sealed record ContinuationWindow(int[] Input, int FirstScored, int[] Targets)
{
    /// <summary>Cuts a context from the left so that the input has at most <paramref name="maxLength"/> tokens.</summary>
    /// <exception cref="ArgumentException">
    /// An empty context or continuation, or a continuation longer than <paramref name="maxLength"/>.
    /// </exception>
    public static ContinuationWindow Of(ReadOnlySpan<int> context, ReadOnlySpan<int> continuation, int maxLength)
    {
        if (context.IsEmpty || continuation.IsEmpty)
            throw new ArgumentException("context and continuation need at least one token each");
        if (continuation.Length > maxLength)
            throw new ArgumentException($"the continuation's {continuation.Length} tokens do not fit into {maxLength}");
        int[] fed = [.. context, .. continuation[..^1]];
        var input = fed[Math.Max(0, fed.Length - maxLength)..];
        return new ContinuationWindow(input, input.Length - continuation.Length, continuation.ToArray());
    }

    /// <summary>Moves white space from the end of the context to the continuation, as both are to be encoded.</summary>
    public static (string Context, string Continuation) MoveTrailingSpace(string context, string continuation)
    {
        var length = PythonText.TrimmedLength(context);
        return (context[..length], context[length..] + continuation);
    }
}
