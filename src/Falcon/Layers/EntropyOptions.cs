namespace Falcon.Layers;

/// <summary>
/// How the dimensions of activations are reduced before an entropy is estimated. The defaults are those of the published code.
/// </summary>
/// <param name="VarianceKept">
/// Keep the smallest number of principal components whose share of the variance is strictly above this; null for no such rule.
/// </param>
/// <param name="Components">Keep exactly so many components, at most min(n - 1, d); takes precedence. Null for none.</param>
/// <param name="SkipUpToDimensions">No reduction for data of at most so many dimensions.</param>
public sealed record EntropyOptions(double? VarianceKept = 0.95, int? Components = null, int SkipUpToDimensions = 10)
{
    /// <summary>The raw dimensions, never reduced.</summary>
    public static EntropyOptions NoReduction { get; } = new(VarianceKept: null);
}
