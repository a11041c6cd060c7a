using Falcon.Attacks.Activations;
using Falcon.Attacks.BlackBox;
using Falcon.Attacks.Inputs;
using Falcon.Attacks.Training;
using Falcon.Attacks.Weights;

namespace Falcon.Attacks;

/// <summary>The attacks, in the order of their tiers.</summary>
internal static class AttackCatalog
{
    /// <summary>Every attack.</summary>
    public static IReadOnlyList<Attack> All { get; } =
    [
        // Black box.
        new Prefilling(),
        new PrefilledContinuation(),
        new InContextFacts(),
        new ConversationalTemplates(),
        new Paraphrases(),
        new LeakAtK(),

        // Activations.
        new LogitLens(fixedDecoder: false),
        new LogitLens(fixedDecoder: true),
        new LinearProbes(),
        new UnlearningDepth(),
        new Orthogonalization(),
        new NormClipping(),

        // Weights.
        new Quantization(),
        new SetDifferencePruning(),

        // Input optimisation.
        new UniversalPrefix(enhanced: false),
        new UniversalPrefix(enhanced: true),
        new SoftPrompt(),

        // Training.
        new Relearning(RelearningTexts.Forget),
        new Relearning(RelearningTexts.Benign),
        new Relearning(RelearningTexts.OtherFacts),
    ];
}
