using static TorchSharp.torch;

namespace Falcon.Layers;

/// <summary>
/// Principal component analysis of a sample matrix [n, d]: centred, unscaled. Through eigenvectors of the smaller of the n x n and d x d
/// Gram matrices in float64, so many dimensions and few samples are cheap. Source: FALCON, step 1.
/// </summary>
public static class PrincipalComponents
{
    /// <summary>Share of the total sum of squares below which a variance is rounding of a constant (float32 data resolve 1e-15).</summary>
    internal const double ConstantVariance = 1e-20;

    /// <summary>The coordinates of the samples on the components that <paramref name="options"/> keeps.</summary>
    /// <param name="samples">[n, d], any floating type.</param>
    /// <param name="options">Which components to keep; null for the defaults.</param>
    /// <returns>
    /// Scores [n, k] in float64 and, for every kept component in descending order, the share of the variance that it and those before it
    /// explain; the samples themselves and null where the options ask for no reduction; scores without a column where the samples do not
    /// vary.
    /// </returns>
    public static (Tensor Scores, IReadOnlyList<double>? CumulativeVariance) Reduce(Tensor samples, EntropyOptions? options = null)
    {
        options ??= new EntropyOptions();
        using var guard = no_grad();
        using var scope = NewDisposeScope();
        var x = samples.to(float64).clone();
        var (n, d) = (x.shape[0], x.shape[1]);
        if (d <= options.SkipUpToDimensions || (options.Components ?? options.VarianceKept) is null)
            return (x.MoveToOuterDisposeScope(), null);

        var (scores, variances) = Rotate(x);
        var total = variances.Sum();
        if (total <= ConstantVariance * x.square().sum().item<double>()) return (scores[.., ..0].clone().MoveToOuterDisposeScope(), []);
        var shares = new List<double>();
        var limit = (int)Math.Min(n - 1, d);
        var explained = 0.0;
        while (shares.Count < limit && !IsEnough(shares.Count, explained / total, options))
            shares.Add((explained += variances[shares.Count]) / total);
        return (scores[.., ..shares.Count].clone().MoveToOuterDisposeScope(), shares);
    }

    /// <summary>
    /// The centred samples in the coordinates of all their components, [n, min(n, d)] float64: no information is lost, distances and
    /// covariances are those of the samples.
    /// </summary>
    internal static (Tensor Scores, double[] Variances) Rotate(Tensor samples)
    {
        using var guard = no_grad();
        using var scope = NewDisposeScope();
        var centred = samples.to(float64);
        centred = centred - centred.mean([0], keepdim: true);
        var (n, d) = (centred.shape[0], centred.shape[1]);
        var wide = n <= d;
        var (eigenvalues, eigenvectors) = linalg.eigh(wide ? centred.matmul(centred.T) : centred.T.matmul(centred)); // ascending
        var squares = eigenvalues.flip(0).clamp_min(0);
        var vectors = eigenvectors.flip(1);
        var scores = wide ? vectors * squares.sqrt() : centred.matmul(vectors);
        return (scores.MoveToOuterDisposeScope(), (squares / Math.Max(1, n - 1)).data<double>().ToArray());
    }

    private static bool IsEnough(int count, double share, EntropyOptions options) =>
        options.Components is { } wanted ? count >= wanted : share > options.VarianceKept;
}
