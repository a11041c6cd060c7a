using Falcon.Engine;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Methods.Falcon;

/// <summary>
/// The retain loss: weight * (1 - mean cosine similarity of updated and frozen hidden states). Source: FALCON, step 2.1 (retain loss).
/// </summary>
public static class RetentionLoss
{
    private const double NormEpsilon = 1e-8;

    /// <summary>
    /// weight * mean over tokens of (1 - cos(updated, frozen)) in float32, each norm clamped at 1e-8. Written as half the squared distance
    /// of the unit vectors, which equals 1 - cos but keeps its relative precision near 0, where 1 - cos itself resolves nothing below 6e-8
    /// in float32 (2^-8 in bfloat16, as in the published runs).
    /// </summary>
    /// <param name="updated">Hidden states of the model in training [B, T, D], any floating type.</param>
    /// <param name="frozen">Hidden states of the unchanged model [B, T, D].</param>
    /// <param name="mask">
    /// True at positions that count, [B, T]; null counts every position, padding included, as the published code does.
    /// </param>
    /// <param name="weight">The factor ("alpha" of a topic in the published code).</param>
    /// <param name="official">Take the plain form 1 - cos, for comparison with the published code only.</param>
    /// <returns>A float32 scalar that carries a gradient to <paramref name="updated"/>.</returns>
    /// <exception cref="ArgumentException">Shapes disagree.</exception>
    /// <exception cref="NumericalFailureException">The mask counts no position.</exception>
    public static Tensor Compute(Tensor updated, Tensor frozen, Tensor? mask = null, double weight = 1, bool official = false)
    {
        if (!updated.shape.AsSpan().SequenceEqual(frozen.shape))
            throw new ArgumentException(
                $"Updated hidden states are [{string.Join(", ", updated.shape)}], frozen ones [{string.Join(", ", frozen.shape)}].",
                nameof(frozen)
            );
        using var scope = NewDisposeScope();
        var a = TokenRows.Select(updated, mask); // [M, D]
        var b = TokenRows.Select(frozen, mask);
        if (a.shape[0] == 0)
            throw new NumericalFailureException("The retention loss has no token to average: the mask counts no position.");
        var lengthA = ClampedLength(a); // [M, 1]
        var lengthB = ClampedLength(b);
        var unitA = a / lengthA;
        var unitB = b / lengthB;
        var plain = 1 - (unitA * unitB).sum(-1); // [M]
        if (official) return (plain.mean() * weight).MoveToOuterDisposeScope();
        // A clamped vector is not scaled to length 1, so the two forms differ only there; 1 - cos is the definition.
        var clamped = lengthA.minimum(lengthB).squeeze(-1).le(NormEpsilon * 1.0001);
        var distance = (unitA - unitB).square().sum(-1) * 0.5;
        return (where(clamped, plain, distance).mean() * weight).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// max(|x|, 1e-8) of every row [M, 1]. The gradient goes straight through the clamp (x over the clamped length), as in the published
    /// code's cosine.
    /// </summary>
    private static Tensor ClampedLength(Tensor rows)
    {
        using var scope = NewDisposeScope();
        var squared = rows.square().sum(-1, keepdim: true);
        return (squared + (squared.clamp_min(NormEpsilon * NormEpsilon) - squared).detach()).sqrt().MoveToOuterDisposeScope();
    }
}
