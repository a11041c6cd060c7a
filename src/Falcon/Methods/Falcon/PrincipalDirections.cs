using static TorchSharp.torch;

namespace Falcon.Methods.Falcon;

/// <summary>How the principal directions of a matrix of hidden states are found.</summary>
public enum DirectionSolver
{
    /// <summary>
    /// Eigenvectors of the smaller Gram matrix, X X^T or X^T X, in float64: the fast default. Resolves singular values down to 1e-7 of the
    /// largest.
    /// </summary>
    Gram,

    /// <summary>Singular value decomposition of X in float32, as in the published code.</summary>
    Svd,
}

/// <summary>Right singular vectors of an uncentred matrix of hidden states.</summary>
internal static class PrincipalDirections
{
    /// <summary>Relative singular value below which eigenvectors of a float64 Gram matrix are noise.</summary>
    private const double GramResolution = 1e-7;

    /// <summary>
    /// The first <paramref name="count"/> (at most) right singular vectors of X [N, D] with singular value above
    /// <paramref name="nullThreshold"/> of the largest.
    /// </summary>
    /// <returns>
    /// Singular values [K], descending, and directions [K, D] with orthonormal rows: float64 from the Gram matrix, float32 from the
    /// decomposition.
    /// </returns>
    public static (Tensor SingularValues, Tensor Directions) Find(Tensor rows, int count, double nullThreshold, DirectionSolver solver)
    {
        using var guard = no_grad();
        using var scope = NewDisposeScope();
        var (values, directions) = solver == DirectionSolver.Svd ? BySvd(rows) : ByGram(rows, count);
        var threshold = solver == DirectionSolver.Svd ? nullThreshold : Math.Max(nullThreshold, GramResolution);
        var largest = values[0].to(float64).item<double>();
        var kept = largest == 0 ? 0 : threshold == 0 ? values.shape[0] : values.gt(largest * threshold).sum().item<long>();
        kept = Math.Min(kept, count);
        return (values[..(int)kept].clone().MoveToOuterDisposeScope(), directions[..(int)kept].clone().MoveToOuterDisposeScope());
    }

    /// <summary>
    /// The fewest leading right singular vectors of X [N, D] that hold <paramref name="energyShare"/> of its energy sum s_i^2, and at most
    /// <paramref name="most"/>. The whole energy is the squared Frobenius norm, so no spectrum is needed: few directions come from a
    /// <see cref="KrylovBasis"/>, many from the Gram matrix, in one decomposition.
    /// </summary>
    /// <param name="rows">X.</param>
    /// <param name="energyShare">Above 0, at most 1.</param>
    /// <param name="most">Cap on the number of directions.</param>
    /// <param name="nullThreshold">Relative singular value at and below which a direction is null.</param>
    /// <param name="denseUpTo">Smaller side of X up to which the Gram matrix is taken at once.</param>
    /// <returns>As <see cref="Find"/>, in float64; empty where X is zero.</returns>
    public static (Tensor SingularValues, Tensor Directions) Leading(
        Tensor rows,
        double energyShare,
        int most,
        double nullThreshold,
        int denseUpTo = 512
    )
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(energyShare);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(energyShare, 1);
        using var guard = no_grad();
        using var scope = NewDisposeScope();
        var x = rows.to(float64);
        var wanted = energyShare * x.square().sum().item<double>();
        var smaller = (int)Math.Min(x.shape[0], x.shape[1]);
        var (values, directions) = (wanted > 0 && smaller > denseUpTo ? KrylovBasis.Leading(x, wanted, most, smaller / 3) : null)
            ?? ByGram(x, smaller);
        var squares = values.square().cpu().data<double>().ToArray();
        var null2 = Math.Pow(Math.Max(nullThreshold, GramResolution), 2) * squares.DefaultIfEmpty(0).First();
        var kept = Fewest(squares, wanted); // none where X is zero
        while (kept > 0 && squares[kept - 1] <= null2) kept--;
        kept = Math.Min(kept, most);
        return (values[..kept].clone().MoveToOuterDisposeScope(), directions[..kept].clone().MoveToOuterDisposeScope());
    }

    /// <summary>How many of the descending energies it takes to reach the wanted sum, up to rounding; all where they never do.</summary>
    internal static int Fewest(double[] energies, double wanted)
    {
        const double rounding = 1e-12;
        var (sum, count) = (0.0, 0);
        while (count < energies.Length && sum < wanted * (1 - rounding)) sum += energies[count++];
        return count;
    }

    private static (Tensor Values, Tensor Directions) BySvd(Tensor rows)
    {
        var (_, values, directions) = linalg.svd(rows, fullMatrices: false);
        return (values, directions);
    }

    private static (Tensor Values, Tensor Directions) ByGram(Tensor rows, int count)
    {
        var x = rows.to(float64);
        var wide = x.shape[0] < x.shape[1];
        var (eigenvalues, eigenvectors) = linalg.eigh(LowerGram(wide ? x.T : x)); // ascending
        var kept = Math.Min(count, eigenvalues.shape[0]);
        var values = eigenvalues.flip(0)[..(int)kept].clamp_min(0).sqrt();
        var vectors = eigenvectors.flip(1).T[..(int)kept]; // rows
        if (!wide) return (values, vectors);
        var directions = vectors.matmul(x) / values.clamp_min(double.Epsilon).unsqueeze(1); // v_i = X^T u_i / s_i
        return (values, directions);
    }

    // The part of X^T X that the decomposition reads: the blocks on and below the diagonal.
    private static Tensor LowerGram(Tensor x)
    {
        const long Blocks = 8;
        var size = x.shape[1];
        if (size < 64 * Blocks) return x.T.matmul(x);
        var gram = zeros([size, size], dtype: x.dtype, device: x.device);
        for (var block = 0; block < Blocks; block++)
        {
            using var scope = NewDisposeScope();
            var (from, to) = (size * block / Blocks, size * (block + 1) / Blocks);
            gram.narrow(0, from, to - from).narrow(1, 0, to).copy_(x.narrow(1, from, to - from).T.matmul(x.narrow(1, 0, to)));
        }

        return gram;
    }
}
