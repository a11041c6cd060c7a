
namespace Falcon.Engine;

/// <summary>Which activations of the frozen model a run needs.</summary>
/// <param name="Lowest">The lowest layer with a trained matrix.</param>
/// <param name="StartsAtDownProjection">Whether that layer trains nothing but its down projection.</param>
/// <param name="Target">The layer whose output enters the losses.</param>
public readonly record struct CacheParts(int Lowest, bool StartsAtDownProjection, int Target)
{
    /// <summary>What a run with these parameters and this target needs.</summary>
    public static CacheParts Of(TrainedParameters trained, int target) => new(trained.LowestLayer, trained.StartsAtDownProjection, target);
}
