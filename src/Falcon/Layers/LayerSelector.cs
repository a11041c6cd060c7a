using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Layers;

/// <summary>The information of one layer, as the selection sees it.</summary>
/// <param name="Layer">0-based decoder layer.</param>
/// <param name="MutualInformation">I(l) in nats; null where the estimate failed.</param>
/// <param name="Failure">The reason of a failed estimate; null where there is none.</param>
/// <param name="Interval">Interval and permutation null; null where none was asked for.</param>
public sealed record LayerEstimate(int Layer, double? MutualInformation, string? Failure, MutualInformationInterval? Interval);

/// <summary>One row of the table of layers.</summary>
/// <param name="Estimate">The information of the layer.</param>
/// <param name="Normalized">I(l) scaled to 0..1 over the valid layers, 0 for all where they are equal; null for a failed layer.</param>
/// <param name="Verdict">
/// <c>excellent</c> (normalised at most 0.1), <c>good</c> (0.4), <c>fair</c> (0.6), <c>poor</c> (0.8), <c>very poor</c>, or <c>failed</c>.
/// </param>
public sealed record LayerRow(LayerEstimate Estimate, double? Normalized, string Verdict);

/// <summary>The whole table and what follows from it.</summary>
/// <param name="Table">Every layer that was measured, failed ones included, in the order given.</param>
/// <param name="BestLayer">The valid layer with the lowest information.</param>
/// <param name="RunnerUp">The valid layer with the second lowest; null where there is only one.</param>
/// <param name="Candidates">All layers with a normalised information of at most 0.1, in the order given.</param>
/// <param name="IntervalsOverlap">
/// Whether the intervals of best layer and runner-up overlap, so that the choice between them is not settled; null where intervals are
/// missing.
/// </param>
public sealed record LayerRanking(
    IReadOnlyList<LayerRow> Table,
    int BestLayer,
    int? RunnerUp,
    IReadOnlyList<int> Candidates,
    bool? IntervalsOverlap
);

/// <summary>
/// Chooses the layer to intervene at: the lowest mutual information of forget and retain activations. Source: FALCON, step 1.5.
/// </summary>
public static class LayerSelector
{
    private const double CandidateLimit = 0.1;

    /// <summary>Measures one layer.</summary>
    /// <param name="layer">0-based decoder layer.</param>
    /// <param name="forgetDomains">Last-token activations at the output of the layer, one [n_i, d] tensor a forget domain.</param>
    /// <param name="retain">The same of the retain set [m, d].</param>
    /// <param name="eta">Weight of the information between forget domains.</param>
    /// <param name="seed">Seed of the resamples of the interval.</param>
    /// <param name="resamples">Bootstrap resamples of the interval; 0 for no interval.</param>
    /// <param name="options">Reduction before each density; null for the defaults.</param>
    /// <param name="permutations">Random pairings; null for as many as resamples.</param>
    public static LayerEstimate Measure(
        int layer,
        IReadOnlyList<Tensor> forgetDomains,
        Tensor retain,
        double eta,
        int seed,
        int resamples = 100,
        EntropyOptions? options = null,
        int? permutations = null
    )
    {
        var information = MutualInformation.OfLayer(forgetDomains, retain, eta, options);
        var interval =
            resamples > 0
                ? MutualInformationInterval.Compute(forgetDomains, retain, information, seed, resamples, permutations ?? resamples, options)
                : null;
        return new LayerEstimate(layer, information.Value, information.Failure, interval);
    }

    /// <summary>Ranks measured layers. Layers whose estimate failed stay in the table and are never chosen.</summary>
    /// <exception cref="NumericalFailureException">No layer has a valid estimate; the message carries every reason.</exception>
    public static LayerRanking Rank(IReadOnlyList<LayerEstimate> layers)
    {
        var valid = layers
            .Where(l => l.MutualInformation is { } value && double.IsFinite(value))
            .OrderBy(l => l.MutualInformation)
            .ToArray();
        if (valid.Length == 0)
        {
            var reasons = layers.Select(l => FormattableString.Invariant($"layer {l.Layer}: {l.Failure ?? "not finite"}"));
            throw new NumericalFailureException($"No layer has a valid mutual information: {string.Join("; ", reasons)}.");
        }

        var (low, high) = (valid[0].MutualInformation!.Value, valid[^1].MutualInformation!.Value);
        var table = layers.Select(l =>
        {
            double? normalized = !valid.Contains(l) ? null : high > low ? (l.MutualInformation - low) / (high - low) : 0;
            return new LayerRow(l, normalized, Verdict(normalized));
        }).ToArray();
        var runnerUp = valid.Length > 1 ? valid[1] : null;
        var overlap = valid[0].Interval is { } best && runnerUp?.Interval is { } second ? best.Overlaps(second) : null;
        return new LayerRanking(
            table,
            valid[0].Layer,
            runnerUp?.Layer,
            [.. table.Where(r => r.Normalized <= CandidateLimit).Select(r => r.Estimate.Layer)],
            overlap
        );
    }

    private static string Verdict(double? normalized) => normalized switch
    {
        null => "failed",
        <= CandidateLimit => "excellent",
        <= 0.4 => "good",
        <= 0.6 => "fair",
        <= 0.8 => "poor",
        _ => "very poor",
    };
}
