using static TorchSharp.torch;

namespace Falcon.Layers;

/// <summary>I(A;B) = H(A) + H(B) - H(A,B) in nats with its three entropies.</summary>
/// <param name="First">H(A), all rows of the first set.</param>
/// <param name="Second">H(B), all rows of the second set.</param>
/// <param name="Joint">H(A,B), the rows paired up to the shorter set.</param>
public sealed record MutualInformationEstimate(EntropyEstimate First, EntropyEstimate Second, EntropyEstimate Joint)
{
    /// <summary>
    /// I(A;B); null where one of the entropies failed. Can be negative: each entropy has its own reduction and its own bias.
    /// </summary>
    public double? Value => First.Entropy + Second.Entropy - Joint.Entropy;

    /// <summary>Which entropy failed and why; null where none did.</summary>
    public string? Failure => Reason("first set", First) ?? Reason("second set", Second) ?? Reason("joint", Joint);

    /// <summary>The published code's number, in which a failed entropy counts 0. For reproduction only.</summary>
    internal double OfficialValueOrZero => First.OfficialEntropyOrZero + Second.OfficialEntropyOrZero - Joint.OfficialEntropyOrZero;

    private static string? Reason(string which, EntropyEstimate estimate) => estimate.Failure is { } failure
        ? FormattableString.Invariant($"{failure} in the {which} ({estimate.Samples} samples, {estimate.Dimensions} dimensions)") : null;
}

/// <summary>I(l) = sum_i I(F_i;R) + eta sum_{i below j} I(F_i;F_j) of one layer, with its terms.</summary>
/// <param name="WithRetain">I(F_i;R), one per forget domain.</param>
/// <param name="BetweenDomains">I(F_i;F_j) in the order (0,1), (0,2), ..., (1,2), ...</param>
/// <param name="Eta">Weight of the second sum.</param>
public sealed record LayerMutualInformation(
    IReadOnlyList<MutualInformationEstimate> WithRetain,
    IReadOnlyList<MutualInformationEstimate> BetweenDomains,
    double Eta
)
{
    /// <summary>I(l) in nats; null where one of the terms failed.</summary>
    public double? Value => Failure is null ? WithRetain.Sum(e => e.Value) + (Eta * BetweenDomains.Sum(e => e.Value)) : null;

    /// <summary>The first failure among the terms; null where there is none.</summary>
    public string? Failure => WithRetain.Concat(BetweenDomains).Select(e => e.Failure).FirstOrDefault(f => f is not null);
}

/// <summary>Mutual information of two sets of activations by kernel density entropies. Source: FALCON, step 1.</summary>
public static class MutualInformation
{
    /// <summary>I(A;B) of two sets of vectors; the rows are paired in order, up to the shorter set.</summary>
    /// <param name="first">[n, d], any floating type.</param>
    /// <param name="second">[m, e].</param>
    /// <param name="options">Reduction before each density, decided for the joint matrix by itself; null for the defaults.</param>
    public static MutualInformationEstimate Compute(Tensor first, Tensor second, EntropyOptions? options = null)
    {
        // The published code makes no density at all where one set is empty.
        if (first.shape[0] == 0 || second.shape[0] == 0)
        {
            EntropyEstimate Empty(Tensor set) => new(null, EntropyFailure.TooFewSamples, (int)set.shape[0], (int)set.shape[1]);
            return new MutualInformationEstimate(
                Empty(first),
                Empty(second),
                new EntropyEstimate(null, EntropyFailure.TooFewSamples, 0, (int)(first.shape[1] + second.shape[1]))
            );
        }
        return new MutualInformationEstimate(
            KernelDensityEntropy.Compute(first, options),
            KernelDensityEntropy.Compute(second, options),
            Joint(first, second, options)
        );
    }

    /// <summary>I(l) of a layer from the last-token activations of one or more forget domains and the retain set.</summary>
    /// <param name="forgetDomains">One [n_i, d] tensor a domain.</param>
    /// <param name="retain">[m, d].</param>
    /// <param name="eta">Weight of the information between domains; without effect for one domain.</param>
    /// <param name="options">Reduction before each density; null for the defaults.</param>
    /// <exception cref="ArgumentException">No forget domain.</exception>
    public static LayerMutualInformation OfLayer(
        IReadOnlyList<Tensor> forgetDomains,
        Tensor retain,
        double eta,
        EntropyOptions? options = null
    )
    {
        if (forgetDomains.Count == 0)
            throw new ArgumentException("The information of a layer needs at least one forget domain.", nameof(forgetDomains));
        return OfLayer(forgetDomains, retain, Marginals(forgetDomains, retain, options), eta, options);
    }

    /// <summary>The entropies of the single sets, retain last; they do not depend on how rows are paired.</summary>
    internal static EntropyEstimate[] Marginals(IReadOnlyList<Tensor> forgetDomains, Tensor retain, EntropyOptions? options) =>
        [.. forgetDomains.Append(retain).Select(set => KernelDensityEntropy.Compute(set, options))];

    /// <summary>As the public method, with the entropies of the single sets at hand.</summary>
    internal static LayerMutualInformation OfLayer(
        IReadOnlyList<Tensor> forgetDomains,
        Tensor retain,
        EntropyEstimate[] marginals,
        double eta,
        EntropyOptions? options
    )
    {
        var withRetain = forgetDomains
            .Select((set, i) => new MutualInformationEstimate(marginals[i], marginals[^1], Joint(set, retain, options)))
            .ToArray();
        var between =
            from i in Enumerable.Range(0, forgetDomains.Count)
            from j in Enumerable.Range(i + 1, forgetDomains.Count - i - 1)
            select new MutualInformationEstimate(marginals[i], marginals[j], Joint(forgetDomains[i], forgetDomains[j], options));
        return new LayerMutualInformation(withRetain, between.ToArray(), eta);
    }

    private static EntropyEstimate Joint(Tensor first, Tensor second, EntropyOptions? options)
    {
        using var scope = NewDisposeScope();
        var rows = (int)Math.Min(first.shape[0], second.shape[0]);
        return KernelDensityEntropy.Compute(cat([first[..rows], second[..rows]], dim: 1), options);
    }
}
