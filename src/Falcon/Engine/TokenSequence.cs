using Falcon.Models;

namespace Falcon.Engine;

/// <summary>Token sequences as keys: equal when their tokens are.</summary>
internal static class TokenSequence
{
    public static IEqualityComparer<int[]> Comparer { get; } = EqualityComparer<int[]>.Create(
        (a, b) => ReferenceEquals(a, b) || (a is not null && b is not null && a.AsSpan().SequenceEqual(b)),
        tokens =>
        {
            var hash = new HashCode();
            hash.AddBytes(System.Runtime.InteropServices.MemoryMarshal.AsBytes(tokens.AsSpan()));
            return hash.ToHashCode();
        });

    public static IComparer<int[]> Order { get; } = Comparer<int[]>.Create((a, b) => a.AsSpan().SequenceCompareTo(b));

    /// <summary>A whole batch as one sequence: each row behind its length.</summary>
    public static int[] Of(TokenBatch batch) => [-1, .. batch.Sequences.SelectMany(row => (int[])[-row.Length, .. row])];
}
