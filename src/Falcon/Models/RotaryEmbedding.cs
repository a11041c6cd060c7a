using Falcon.Models.Families;
using static TorchSharp.torch;

namespace Falcon.Models;

/// <summary>
/// Rotary position embedding in the "rotate half" form: x cos + (-second half, first half) sin (Su et al., "RoFormer", 2021, equation 34,
/// with the dimensions of a pair half a head apart).
/// </summary>
internal static class RotaryEmbedding
{
    /// <summary>
    /// cos and sin of position times frequency, each frequency once in either half. Positions [T] give [T, D], positions [B, T] give
    /// [B, 1, T, D], with D the rotated dimensions.
    /// </summary>
    /// <param name="rope">The settings.</param>
    /// <param name="headSize">Width of a head.</param>
    /// <param name="positions">The positions.</param>
    /// <param name="dtype">Compute dtype.</param>
    /// <param name="lengths">
    /// Length of each text of the batch, or one length for all; only settings that depend on the text length use it.
    /// </param>
    public static (Tensor Cos, Tensor Sin) Tables(
        RopeConfig rope,
        int headSize,
        Tensor positions,
        ScalarType dtype,
        IReadOnlyList<long> lengths
    )
    {
        using var scope = NewDisposeScope();
        var alike = !rope.DependsOnLength || lengths.Select(rope.Regime).Distinct().Count() == 1;
        var frequencies = alike
            ? tensor(rope.InverseFrequencies(headSize, lengths[0]), float32, positions.device) // [D/2]
            : stack(lengths.Select(length => tensor(rope.InverseFrequencies(headSize, length), float32, positions.device)).ToList())
                .unsqueeze(1); // [B, 1, D/2]
        var angles = positions.to(float32).unsqueeze(-1) * frequencies; // [.., T, D/2]
        angles = cat([angles, angles], -1); // [.., T, D]
        if (angles.dim() == 3) angles = angles.unsqueeze(1); // [B, 1, T, D]
        var (cos, sin) = (angles.cos(), angles.sin());
        if (rope.AttentionFactor != 1) (cos, sin) = (cos * rope.AttentionFactor, sin * rope.AttentionFactor);
        return (cos.to(dtype).MoveToOuterDisposeScope(), sin.to(dtype).MoveToOuterDisposeScope());
    }

    /// <summary>Rotates queries or keys [B, A, T, D]; dimensions beyond the width of the tables stay unchanged.</summary>
    public static Tensor Rotate(Tensor x, Tensor cos, Tensor sin)
    {
        using var scope = NewDisposeScope();
        var size = cos.shape[^1];
        if (size < x.shape[^1])
            return cat([Rotate(x.narrow(-1, 0, size), cos, sin), x.narrow(-1, size, x.shape[^1] - size)], -1).MoveToOuterDisposeScope();
        var half = size / 2;
        var rotated = cat([-x.narrow(-1, half, half), x.narrow(-1, 0, half)], -1);
        return (x * cos + rotated * sin).MoveToOuterDisposeScope();
    }
}
