using Falcon.Evaluation;

namespace Falcon.Attacks.Protocol;

/// <summary>A model under attack with what the attacker may compare it with. Nothing is owned.</summary>
/// <param name="Loaded">The model under attack.</param>
/// <param name="Original">The model before unlearning; the same as <paramref name="Loaded"/> where the original itself is attacked.</param>
internal sealed record AttackSubject(LoadedModel Loaded, LoadedModel Original)
{
    /// <summary>A model that was never taught; null where there is none.</summary>
    public LoadedModel? Control { get; init; }
}
