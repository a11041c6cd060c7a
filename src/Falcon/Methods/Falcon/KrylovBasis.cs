using TorchSharp;
using static TorchSharp.torch;

namespace Falcon.Methods.Falcon;

/// <summary>
/// Leading right singular vectors of a matrix X, found by multiplying with X alone: from a block Krylov space of X^T X grown from random
/// vectors, fully reorthogonalised, with the Rayleigh-Ritz vectors in it. Source: Golub and Underwood, "The block Lanczos method for
/// computing eigenvalues", 1977; Musco and Musco, "Randomized block Krylov methods for stronger and faster approximate singular value
/// decomposition", 2015.
/// </summary>
internal static class KrylovBasis
{
    private const int BlockSize = 32;

    /// <summary>
    /// Largest residual |X^T X v - s^2 v| of a direction, relative to the gap after the last one. The ratio is about the angle by which the
    /// space of all directions is off. An offset vector is off by that angle times its elements, 1e-5 at most.
    /// </summary>
    private const double Tolerance = 1e-3;

    /// <summary>
    /// Residual, relative to the largest s^2, at which rounding stops the convergence. It decides where the gap is smaller; the last
    /// direction is then one of several equally good ones.
    /// </summary>
    private const double Rounding = 1e-13;

    /// <summary>
    /// The fewest leading directions whose energies s_i^2 reach <paramref name="wanted"/>, and at most <paramref name="most"/>. The same at
    /// every call: the random start has a fixed seed.
    /// </summary>
    /// <param name="x">X [N, D], float64.</param>
    /// <param name="wanted">Sum of s_i^2 to reach.</param>
    /// <param name="most">Cap on the number of directions.</param>
    /// <param name="limit">Dimensions of the space beyond which a decomposition of the Gram matrix is cheaper.</param>
    /// <returns>Singular values [K] and directions [K, D], at least those asked for; null where the limit is reached before.</returns>
    public static (Tensor Values, Tensor Directions)? Leading(Tensor x, double wanted, int most, int limit)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(1, torch.CPU);
        var start = randn([x.shape[1], BlockSize], dtype: float64, generator: generator).to(x.device);
        var (block, _) = Orthonormal(x.T.matmul(x.matmul(start)), 0);
        var (basis, images) = (block[.., ..0], x[.., ..0]); // Q [D, m] and X Q [N, m]
        var nextCheck = 0L;
        while (basis.shape[1] + BlockSize <= limit)
        {
            var image = x.matmul(block);
            (basis, images) = (cat([basis, block], 1), cat([images, image], 1));
            var size = basis.shape[1];
            var energy = images.square().sum().item<double>();
            var (next, rest) = Outside(x.T.matmul(image), basis, energy * Rounding);
            // m directions hold at most m times the largest energy, so a spectrum of many equal energies is recognised at the start.
            if (size == block.shape[1] && linalg.eigvalsh(image.T.matmul(image))[^1].item<double>() * limit < wanted) return null;
            if ((energy >= wanted * (1 - 1e-12) && size >= nextCheck) || size >= most || next.shape[1] == 0)
            {
                nextCheck = size + size / 8;
                if (Ritz(images, rest, wanted, most) is var (squares, mixture))
                    return (squares.sqrt().MoveToOuterDisposeScope(), basis.matmul(mixture).T.contiguous().MoveToOuterDisposeScope());
            }

            if (next.shape[1] == 0) return null;
            block = next;
        }

        return null;
    }

    /// <summary>
    /// An orthonormal basis [D, c] of what a block [D, b] adds to a basis [D, m], and the block's coefficients [c, b] in it; no column
    /// where it adds nothing but rounding.
    /// </summary>
    private static (Tensor Next, Tensor Coefficients) Outside(Tensor block, Tensor basis, double rounding)
    {
        using var scope = NewDisposeScope();
        Tensor Without(Tensor columns) => columns - basis.matmul(basis.T.matmul(columns));
        var (first, coefficients) = Orthonormal(Without(Without(block)), rounding);
        if (first.shape[1] == 0) return (first.MoveToOuterDisposeScope(), coefficients.MoveToOuterDisposeScope());
        var (next, again) = Orthonormal(Without(first), 0.5); // small remainders of large columns are orthogonal only now
        return (next.MoveToOuterDisposeScope(), again.matmul(coefficients).MoveToOuterDisposeScope());
    }

    // Uses the small Gram matrix, because decomposing a tall and narrow matrix is many times slower. Directions that are lost in the
    // rounding of the Gram matrix return in the next block.
    private static (Tensor Columns, Tensor Coefficients) Orthonormal(Tensor columns, double least)
    {
        const double resolution = 1e-14;
        using var scope = NewDisposeScope();
        var (squares, vectors) = linalg.eigh(columns.T.matmul(columns)); // ascending
        var smallest = Math.Max(least * least, resolution * squares[^1].item<double>());
        var kept = squares.gt(smallest).nonzero().reshape(-1);
        var lengths = squares.index_select(0, kept).sqrt();
        vectors = vectors.index_select(1, kept);
        return (columns.matmul(vectors / lengths).MoveToOuterDisposeScope(), (vectors * lengths).T.MoveToOuterDisposeScope());
    }

    /// <summary>Energies [K] and mixtures [m, K] of the basis once all K leading ones have converged; null before.</summary>
    private static (Tensor Squares, Tensor Mixture)? Ritz(Tensor images, Tensor rest, double wanted, int most)
    {
        using var scope = NewDisposeScope();
        var (eigenvalues, eigenvectors) = linalg.eigh(images.T.matmul(images)); // ascending
        var (squares, mixture) = (eigenvalues.flip(0).clamp_min(0), eigenvectors.flip(1));
        var energies = squares.cpu().data<double>().ToArray();
        var count = Math.Min(PrincipalDirections.Fewest(energies, wanted), most);
        if (rest.shape[0] > 0)
        {
            if (count == energies.Length) return null;
            // Only the last block is not yet mapped into the space.
            var residuals = rest.matmul(mixture[^(int)rest.shape[1].., ..count]).norm(0);
            if (residuals.max().item<double>() > Math.Max(Tolerance * (energies[count - 1] - energies[count]), Rounding * energies[0]))
                return null;
        }

        return (squares[..count].MoveToOuterDisposeScope(), mixture[.., ..count].MoveToOuterDisposeScope());
    }
}
