using static TorchSharp.torch;

namespace Falcon.Exchange;

/// <summary>
/// The best approximation of a matrix D by a product B A of rank r in the Frobenius norm: the leading singular triplets (Eckart and Young,
/// 1936), with the root of each singular value in either factor. A small matrix is decomposed in full. For a large one the leading left
/// space is found by randomised subspace iteration (Halko, Martinsson and Tropp, "Finding structure with randomness", 2011, algorithm 4.4).
/// The residual is computed from the factors themselves, so it is right even where they are not optimal.
/// </summary>
internal static class LowRankFactors
{
    /// <summary>The largest smaller side for which a full decomposition takes at most a few seconds.</summary>
    private const long DecomposedInFull = 1024;

    private const int Oversampling = 16;
    private const int Rounds = 6;

    /// <summary>The factors, and the norm of what they leave out.</summary>
    /// <param name="difference">D [m, n], any floating type; borrowed.</param>
    /// <param name="rank">r, at least 1; a larger value than the smaller side of D counts as that side.</param>
    /// <returns>B [m, r] and A [r, n], float32, owned by the caller's scope; the Frobenius norms of D and of D - B A.</returns>
    public static (Tensor B, Tensor A, double Norm, double Residual) Of(Tensor difference, int rank)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var kept = (int)Math.Min(rank, Math.Min(difference.shape[0], difference.shape[1]));
        var isSmall = Math.Min(difference.shape[0], difference.shape[1]) <= DecomposedInFull;
        var (left, values, right) = isSmall ? Full(difference) : Leading(difference.to(float32), kept);
        var roots = values[..kept].sqrt();
        var b = (left[.., ..kept] * roots).to(float32).contiguous();
        var a = (right[..kept] * roots.unsqueeze(1)).to(float32).contiguous();
        var (squares, rest) = Norms(difference, b, a);
        return (b.MoveToOuterDisposeScope(), a.MoveToOuterDisposeScope(), Math.Sqrt(squares), Math.Sqrt(rest));
    }

    private static (Tensor Left, Tensor Values, Tensor Right) Full(Tensor difference)
    {
        using var scope = NewDisposeScope();
        var (left, values, right) = linalg.svd(difference.to(float64), fullMatrices: false);
        return (left.MoveToOuterDisposeScope(), values.MoveToOuterDisposeScope(), right.MoveToOuterDisposeScope());
    }

    private static (Tensor Left, Tensor Values, Tensor Right) Leading(Tensor difference, int rank)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(1, CPU);
        var width = Math.Min(rank + Oversampling, Math.Min(difference.shape[0], difference.shape[1]));
        var basis = Orthonormal(difference.matmul(randn([difference.shape[1], width], generator: generator).to(difference.device)));
        for (var round = 0; round < Rounds; round++) basis = Orthonormal(difference.matmul(Orthonormal(difference.T.matmul(basis))));
        var (left, values, right) = linalg.svd(basis.T.matmul(difference), fullMatrices: false);
        return (basis.matmul(left).MoveToOuterDisposeScope(), values.MoveToOuterDisposeScope(), right.MoveToOuterDisposeScope());
    }

    private static Tensor Orthonormal(Tensor columns)
    {
        using var scope = NewDisposeScope();
        var (basis, _) = linalg.qr(columns);
        return basis.MoveToOuterDisposeScope();
    }

    // In stripes of rows, so that neither D - B A nor its squares are in memory as a whole.
    private static (double Squares, double Remaining) Norms(Tensor difference, Tensor b, Tensor a)
    {
        const long rows = 256;
        var (squares, rest) = (0.0, 0.0);
        for (var row = 0L; row < difference.shape[0]; row += rows)
        {
            using var scope = NewDisposeScope();
            var count = Math.Min(rows, difference.shape[0] - row);
            var stripe = difference.narrow(0, row, count).to(float64);
            squares += stripe.square().sum().item<double>();
            rest += (stripe - b.narrow(0, row, count).to(float64).matmul(a.to(float64))).square().sum().item<double>();
        }

        return (squares, rest);
    }
}
