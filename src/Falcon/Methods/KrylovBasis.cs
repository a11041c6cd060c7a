using TorchSharp;
using static TorchSharp.torch;

namespace Falcon.Methods;

/// <summary>
/// Leading right singular vectors of a matrix X that is only multiplied with: a block Krylov space of X^T X grown from random vectors, fully
/// reorthogonalised, with the Rayleigh-Ritz vectors in it. Source: Golub and Underwood, "The block Lanczos method for computing eigenvalues", 1977;
/// Musco and Musco, "Randomized block Krylov methods for stronger and faster approximate singular value decomposition", 2015.
/// </summary>
internal static class KrylovBasis
{
    private const int BlockSize = 32;

    /// <summary>Largest residual |X^T X v - s^2 v| of a direction over the gap behind the last one: about the angle by which the space of all of them is off.</summary>
    private const double Tolerance = 1e-6;

    /// <summary>Residual over the largest s^2 at which rounding ends the convergence; decides where the gap is smaller, and the last direction is then one of several as good.</summary>
    private const double Rounding = 1e-13;

    /// <summary>The fewest leading directions whose energies s_i^2 reach <paramref name="wanted"/>, and at most <paramref name="most"/>. The same at every call: the random start has a fixed seed.</summary>
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
        var (block, _) = linalg.qr(x.T.matmul(x.matmul(start)));
        var (basis, images) = (block[.., ..0], x[.., ..0]); // Q [D, m] and X Q [N, m]
        var nextCheck = 0L;
        while (basis.shape[1] + BlockSize <= limit)
        {
            var image = x.matmul(block);
            (basis, images) = (cat([basis, block], 1), cat([images, image], 1));
            var (next, rest) = Outside(x.T.matmul(image), basis);
            var size = basis.shape[1];
            var energy = images.square().sum().item<double>();
            // No m directions hold more than m times the largest energy: many equal ones are known as such from the start.
            if (size == BlockSize && linalg.eigvalsh(image.T.matmul(image))[^1].item<double>() * limit < wanted) return null;
            if ((energy >= wanted * (1 - 1e-12) && size >= nextCheck) || size >= most)
            {
                nextCheck = size + size / 4;
                if (Ritz(images, rest, wanted, most) is var (squares, mixture))
                    return (squares.sqrt().MoveToOuterDisposeScope(), basis.matmul(mixture).T.contiguous().MoveToOuterDisposeScope());
            }

            block = next;
        }

        return null;
    }

    /// <summary>An orthonormal basis of what a block [D, b] adds to a basis [D, m], and its coefficients [b, b] there.</summary>
    private static (Tensor Next, Tensor Coefficients) Outside(Tensor block, Tensor basis)
    {
        using var scope = NewDisposeScope();
        var outside = block - basis.matmul(basis.T.matmul(block));
        outside = outside - basis.matmul(basis.T.matmul(outside));
        var (next, rest) = linalg.qr(outside);
        (next, _) = linalg.qr(next - basis.matmul(basis.T.matmul(next))); // a block that adds nothing but rounding is still made orthogonal
        return (next.MoveToOuterDisposeScope(), rest.MoveToOuterDisposeScope());
    }

    /// <summary>Energies [K] and mixtures [m, K] of the basis once all K leading ones have converged; null before.</summary>
    private static (Tensor Squares, Tensor Mixture)? Ritz(Tensor images, Tensor rest, double wanted, int most)
    {
        using var scope = NewDisposeScope();
        var (eigenvalues, eigenvectors) = linalg.eigh(images.T.matmul(images)); // ascending
        var (squares, mixture) = (eigenvalues.flip(0).clamp_min(0), eigenvectors.flip(1));
        var energies = squares.cpu().data<double>().ToArray();
        var count = Math.Min(PrincipalDirections.Fewest(energies, wanted), most);
        if (count == energies.Length && count < most) return null;
        var gap = count < energies.Length ? energies[count - 1] - energies[count] : 0;
        var residuals = rest.matmul(mixture[^BlockSize.., ..count]).norm(0); // only the last block is not yet mapped into the space
        if (residuals.max().item<double>() > Math.Max(Tolerance * gap, Rounding * energies[0])) return null;
        return (squares[..count].MoveToOuterDisposeScope(), mixture[.., ..count].MoveToOuterDisposeScope());
    }
}
