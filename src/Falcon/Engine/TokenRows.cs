using static TorchSharp.torch;

namespace Falcon.Engine;

/// <summary>Hidden states as a list of tokens: the positions that count, one row each, in float32.</summary>
internal static class TokenRows
{
    /// <summary>
    /// The rows of <paramref name="hidden"/> [B, T, D] (or [N, D]) where <paramref name="mask"/> [B, T] (or [N]) is true, all rows without
    /// a mask: [M, D] float32.
    /// </summary>
    public static Tensor Select(Tensor hidden, Tensor? mask)
    {
        using var scope = NewDisposeScope();
        var rows = hidden.reshape(-1, hidden.shape[^1]);
        return (mask is null ? rows : rows.index_select(0, CountedPositions(hidden, mask))).to(float32).MoveToOuterDisposeScope();
    }

    private static Tensor CountedPositions(Tensor hidden, Tensor mask)
    {
        if (!mask.shape.AsSpan().SequenceEqual(hidden.shape.AsSpan()[..^1]))
            throw new ArgumentException(
                $"The mask has shape [{string.Join(", ", mask.shape)}], hidden states [{string.Join(", ", hidden.shape)}]; it must match "
                    + $"all but the last axis.",
                nameof(mask)
            );
        return mask.to(@bool).reshape(-1).nonzero().reshape(-1).to(hidden.device);
    }
}
