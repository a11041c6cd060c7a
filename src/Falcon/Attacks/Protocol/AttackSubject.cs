using Falcon.Evaluation;

namespace Falcon.Attacks.Protocol;

/// <summary>The model under attack, and the models that the attacker may compare it with. Owns none of them.</summary>
/// <param name="Loaded">The model under attack.</param>
/// <param name="Original">The model before unlearning; the same as <paramref name="Loaded"/> when the original itself is attacked.</param>
public sealed record AttackSubject(LoadedModel Loaded, LoadedModel Original)
{
    /// <summary>A model that was never taught the forget set; null where there is none.</summary>
    public LoadedModel? Control { get; init; }
}
