using Falcon.Attacks.Protocol;
using Falcon.Data;

namespace Falcon.Runs.Attacking;

/// <summary>What is attacked, with what data, and how hard.</summary>
/// <param name="Model">Directory of the unlearned model.</param>
/// <param name="Original">Directory of the model before unlearning.</param>
/// <param name="Data">Files of multiple-choice questions about what was to be forgotten.</param>
/// <param name="Out">Directory to write; it appears whole or not at all.</param>
public sealed record AttackRunSettings(string Model, string Original, IReadOnlyList<string> Data, string Out)
{
    /// <summary>Directory of a model that was never taught; null for none, which leaves the verdicts weaker.</summary>
    public string? Control { get; init; }

    /// <summary>Names out of <see cref="AttackRun.Names"/>; empty for all.</summary>
    public IReadOnlyList<string> Attacks { get; init; } = [];

    /// <summary>
    /// Texts of the forget set, of which the attacker gets those that tell nothing about the scored questions; without them he has the
    /// development questions.
    /// </summary>
    public IReadOnlyList<string> Forget { get; init; } = [];

    /// <summary>Texts of the retain set.</summary>
    public IReadOnlyList<string> Retain { get; init; } = [];

    /// <summary>
    /// Multiple-choice questions about what the model shall keep; without them those among <see cref="Retain"/> that have wrong answers.
    /// </summary>
    public IReadOnlyList<string> Utility { get; init; } = [];

    /// <summary>Texts of neither set.</summary>
    public IReadOnlyList<string> Texts { get; init; } = [];

    /// <summary>How much the attacker spends.</summary>
    public AttackBudget Budget { get; init; } = AttackBudget.Standard;

    /// <summary>Seed of the halves and of everything that attacks draw.</summary>
    public ulong Seed { get; init; }

    /// <summary>How question and answer become text; null takes the template of the run that made the model, else the default.</summary>
    public PromptTemplate? Template { get; init; }

    /// <summary>
    /// A folder where the results on the original and on the control are kept for other unlearned models of the same original; null for
    /// none.
    /// </summary>
    public string? Cache { get; init; }
}
