using System.ComponentModel.DataAnnotations;
using Falcon.Methods.Terms;
using static TorchSharp.torch;

namespace Falcon.Methods.Gradients;

/// <summary>
/// <c>conflictProjection</c>: where the two gradients of a parameter oppose each other, the forget gradient is projected onto the
/// orthogonal complement of the retain gradient; each case has its own pair of weights. Source: Hu et al., NeurIPS 2025, section 4.2;
/// <see cref="GradientCombination"/>.
/// </summary>
public sealed record ConflictProjection : GradientFilter
{
    /// <summary>Weights of the projected forget gradient and the retain gradient in conflict.</summary>
    [MinLength(2)]
    public IReadOnlyList<double> ConflictWeights { get; init; } = [0.8, 1.2];

    /// <summary>Weights of the forget gradient and the retain gradient without conflict.</summary>
    [MinLength(2)]
    public IReadOnlyList<double> AlignedWeights { get; init; } = [0.1, 1.9];

    /// <summary>
    /// A retain gradient whose norm is below this share of the forget gradient's is rounding noise and counts as no conflict.
    /// </summary>
    [Range(0, double.MaxValue)]
    public double ZeroNormThreshold { get; init; } = GradientCombination.DefaultZeroNormThreshold;

    /// <inheritdoc/>
    public override IEnumerable<string> Faults(TermUse use)
    {
        if (ConflictWeights.Count > 2 || AlignedWeights.Count > 2)
            yield return "conflictWeights and alignedWeights are two numbers each (forget, retain)";
    }

    /// <inheritdoc/>
    public override GradientMix Mix(Tensor forget, Tensor retain) =>
        GradientCombination.Mix(
            forget,
            retain,
            new ConflictWeights(ConflictWeights[0], ConflictWeights[1], AlignedWeights[0], AlignedWeights[1]),
            ZeroNormThreshold
        );
}
