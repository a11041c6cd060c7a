using Falcon.Methods.Falcon;
using static TorchSharp.torch;

namespace Falcon.Attacks.Activations;

/// <summary>Finds directions in the residual stream and removes them. Directions are orthonormal rows [K, H], float32.</summary>
internal static class ResidualDirections
{
    private const double OutlierScore = 3;

    /// <summary>
    /// The first principal directions of differences [N, H] between the states of two models at the same tokens. They are not centred, so a
    /// common shift is the first direction. Fewer come back where the differences have a lower rank.
    /// </summary>
    public static Tensor Principal(Tensor differences, int count)
    {
        using var scope = NewDisposeScope();
        return PrincipalDirections
            .Find(differences.to(float64), count, 1e-6, DirectionSolver.Gram)
            .Directions.to(float32)
            .MoveToOuterDisposeScope();
    }

    /// <summary>
    /// Unit vector [1, H] from the mean of <paramref name="from"/> [N, H] to that of <paramref name="to"/> [M, H]; [0, H] where they are
    /// equal.
    /// </summary>
    public static Tensor BetweenMeans(Tensor from, Tensor to)
    {
        using var scope = NewDisposeScope();
        var step = to.to(float64).mean([0L], true) - from.to(float64).mean([0L], true);
        var length = step.norm().item<double>();
        return (length == 0 ? zeros([0, step.shape[1]], float32) : (step / length).to(float32)).MoveToOuterDisposeScope();
    }

    /// <summary>Random orthonormal directions, uniformly distributed.</summary>
    public static Tensor Random(int count, int width, Generator generator)
    {
        using var scope = NewDisposeScope();
        return linalg.qr(randn([width, count], float64, generator: generator)).Q.t().to(float32).contiguous().MoveToOuterDisposeScope();
    }

    /// <summary>h - sum of (h . d) d over the directions, for every vector of [B, T, H].</summary>
    public static Tensor Remove(Tensor hidden, Tensor directions)
    {
        using var scope = NewDisposeScope();
        var wide = hidden.to(float32);
        return (wide - wide.matmul(directions.t()).matmul(directions)).to(hidden.dtype).MoveToOuterDisposeScope();
    }

    /// <summary>h min(1, limit / |h|) for every vector of [B, T, H].</summary>
    public static Tensor ClipNorms(Tensor hidden, double limit)
    {
        using var scope = NewDisposeScope();
        var wide = hidden.to(float32);
        return (wide * (limit / wide.norm(-1, true, 2f).clamp_min(1e-12)).clamp_max(1)).to(hidden.dtype).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// Flags [N], boolean, of the states [N, H] whose mean |h| is at most 3 standard deviations above the mean of all rows. The others are
    /// attention sinks (begin of text, line ends).
    /// </summary>
    public static Tensor Ordinary(Tensor states)
    {
        using var scope = NewDisposeScope();
        var sizes = states.to(float32).abs().mean([1L]); // [N]
        var limit = sizes.mean() + OutlierScore * sizes.std();
        return sizes.le(limit).MoveToOuterDisposeScope();
    }
}
