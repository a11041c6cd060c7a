namespace Falcon.Results;

/// <summary>The estimate for one layer, an entry of <c>layers.json</c>.</summary>
/// <param name="Layer">The layer, counted from 0.</param>
/// <param name="MutualInformation">Mutual information of forget and retain hidden states in nats; null where the estimate failed.</param>
/// <param name="Low">Lower end of the 95 % interval; null where the estimate failed or has none.</param>
/// <param name="High">Upper end of the 95 % interval; null where the estimate failed or has none.</param>
/// <param name="Selected">Whether the layer was chosen.</param>
/// <param name="Note">Why the estimate failed, or a remark on it; null for neither.</param>
/// <param name="Normalized">
/// The mutual information scaled to 0..1 over the layers to choose from; null where the estimate failed or the layer was not among them.
/// </param>
public sealed record LayerScore(
    int Layer,
    double? MutualInformation,
    double? Low,
    double? High,
    bool Selected,
    string? Note = null,
    double? Normalized = null
)
{
    /// <summary>The note of a layer that was measured but could not be chosen.</summary>
    public const string NotSearched = "outside the layers to choose from";
}
