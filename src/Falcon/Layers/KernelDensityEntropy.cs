using static TorchSharp.torch;

namespace Falcon.Layers;

/// <summary>Why an entropy could not be estimated.</summary>
public enum EntropyFailure
{
    /// <summary>Fewer than two samples: no covariance.</summary>
    TooFewSamples,

    /// <summary>A value that is not finite.</summary>
    NotFinite,

    /// <summary>More dimensions than samples: the covariance cannot have full rank.</summary>
    MoreDimensionsThanSamples,

    /// <summary>All samples are equal.</summary>
    NoVariance,

    /// <summary>A direction without variance of its own: the density is infinite.</summary>
    SingularCovariance,
}

/// <summary>
/// A differential entropy in nats with what it was made of, or the reason why there is none. A failed estimate is never a number.
/// </summary>
/// <param name="Entropy">H; null where the estimate failed.</param>
/// <param name="Failure">The reason; null where it did not.</param>
/// <param name="Samples">n.</param>
/// <param name="Dimensions">Dimensions of the density, after the reduction.</param>
/// <param name="Components">Principal components kept; null where the data were not reduced.</param>
/// <param name="VarianceKept">Share of the variance in them, 0 to 1.</param>
/// <param name="ScottFactor">n^(-1/(Dimensions+4)).</param>
/// <param name="LogDeterminant">Log determinant of 2 pi times the kernel covariance.</param>
public sealed record EntropyEstimate(double? Entropy, EntropyFailure? Failure, int Samples, int Dimensions,
    int? Components = null, double? VarianceKept = null, double? ScottFactor = null, double? LogDeterminant = null)
{
    /// <summary>The published code's number, which is 0 for a failed estimate. For reproduction only.</summary>
    internal double OfficialEntropyOrZero => Entropy ?? 0;
}

/// <summary>
/// Entropy of a set of vectors by a Gaussian kernel density: H = -mean_i log p(x_i), p the density with the samples as centres (each one's
/// own kernel included) and the kernel covariance n^(-2/(d+4)) times the sample covariance (Scott's rule). Source: FALCON, step 1.2.
/// Biased, since the density is evaluated at its own samples: see <see cref="MutualInformationInterval"/> for how much differences mean.
/// </summary>
public static class KernelDensityEntropy
{
    /// <summary>A conditional variance at most this share of the marginal one is rounding: the covariance is singular.</summary>
    private const double SingularPivot = 1e-12;

    /// <summary>The entropy of the rows of <paramref name="samples"/> in nats, in float64.</summary>
    /// <param name="samples">[n, d], any floating type.</param>
    /// <param name="options">Reduction before the density; null for principal components with 95 % of the variance.</param>
    /// <returns>The estimate, or a typed failure; never a number in place of a failed estimate.</returns>
    public static EntropyEstimate Compute(Tensor samples, EntropyOptions? options = null)
    {
        using var guard = no_grad();
        using var scope = NewDisposeScope();
        var (n, d) = ((int)samples.shape[0], (int)samples.shape[1]);
        if (n < 2) return new EntropyEstimate(null, EntropyFailure.TooFewSamples, n, d);
        if (!samples.isfinite().all().item<bool>()) return new EntropyEstimate(null, EntropyFailure.NotFinite, n, d);
        var (scores, shares) = PrincipalComponents.Reduce(samples, options);
        var estimate = Density(scores);
        return shares is null
            ? estimate
            : estimate with
            {
                Components = shares.Count,
                VarianceKept = shares.Count == 0 ? null : shares[^1],
            };
    }

    private static EntropyEstimate Density(Tensor x)
    {
        using var scope = NewDisposeScope();
        var (n, d) = ((int)x.shape[0], (int)x.shape[1]);
        EntropyEstimate Failed(EntropyFailure why) => new(null, why, n, d);
        if (d == 0) return Failed(EntropyFailure.NoVariance);
        if (d > n) return Failed(EntropyFailure.MoreDimensionsThanSamples);
        var mean = x.mean([0]);
        var centred = x - mean;
        var covariance = centred.T.matmul(centred) / (n - 1);
        var variances = covariance.diagonal();
        var constant = variances.le(PrincipalComponents.ConstantVariance * (variances + mean.square()));
        if (constant.all().item<bool>()) return Failed(EntropyFailure.NoVariance);
        if (constant.any().item<bool>()) return Failed(EntropyFailure.SingularCovariance);
        var (factor, info) = linalg.cholesky_ex(covariance);
        if (info.item<int>() != 0 || factor.diagonal().square().le(SingularPivot * variances).any().item<bool>())
            return Failed(EntropyFailure.SingularCovariance);

        var scott = Math.Pow(n, -1.0 / (d + 4));
        var logDeterminant = (2 * factor.diagonal().log().sum().item<double>()) + (d * Math.Log(2 * Math.PI * scott * scott));
        var whitened = linalg.solve_triangular(factor, centred.T, upper: false).T / scott; // [n, d]
        var lengths = whitened.square().sum(1);
        var distances = (lengths.unsqueeze(1) + lengths.unsqueeze(0) - (whitened.matmul(whitened.T) * 2)).clamp_min(0); // [n, n]
        distances.diagonal().zero_();
        var logDensity = (distances * -0.5).logsumexp(1) - (Math.Log(n) + (logDeterminant / 2));
        return new EntropyEstimate(-logDensity.mean().item<double>(), null, n, d, ScottFactor: scott, LogDeterminant: logDeterminant);
    }
}
