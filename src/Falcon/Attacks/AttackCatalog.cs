using Falcon.Attacks.Activations;
using Falcon.Attacks.BlackBox;
using Falcon.Attacks.Inputs;
using Falcon.Attacks.Training;
using Falcon.Attacks.Weights;
using Falcon.Runtime;

namespace Falcon.Attacks;

/// <summary>The attacks that runs know by name: those of Falcon and those that a program registers.</summary>
public static class AttackCatalog
{
    private static readonly Lock Gate = new();

    private static Attack[] _all =
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

    /// <summary>Every attack: those of Falcon in the order of their tiers, then the registered ones in the order of registration.</summary>
    public static IReadOnlyList<Attack> All => Volatile.Read(ref _all);

    /// <summary>The names of <see cref="All"/>.</summary>
    public static IReadOnlyList<string> Names => [.. All.Select(attack => attack.Name)];

    /// <summary>
    /// Adds an attack. Runs of this process that start later find it by its name, and runs of all attacks include it. Thread-safe.
    /// </summary>
    /// <exception cref="ArgumentException">
    /// The name is taken, or holds something else than lower-case letters, digits and hyphens.
    /// </exception>
    public static void Register(Attack attack)
    {
        ArgumentNullException.ThrowIfNull(attack);
        lock (Gate)
        {
            CatalogName.Check(attack.Name, "an attack", Names.Append(PlainQuestions.Instance.Name));
            Volatile.Write(ref _all, [.. _all, attack]);
        }
    }
}
