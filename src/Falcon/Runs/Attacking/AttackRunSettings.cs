using Falcon.Data;
using Falcon.Results;

namespace Falcon.Runs.Attacking;

/// <summary>What is attacked, with what data, and how hard.</summary>
/// <param name="Model">Directory of the unlearned model.</param>
/// <param name="Original">Directory of the model before unlearning.</param>
/// <param name="Data">Files of multiple-choice questions about what the model was to forget.</param>
/// <param name="Out">Directory to write; it appears whole or not at all.</param>
public sealed record AttackRunSettings(string Model, string Original, IReadOnlyList<string> Data, string Out)
{
    /// <summary>
    /// Directory of a model that was never taught the forget set. Null for none; knowledge that an attack brings along then counts as
    /// recovered.
    /// </summary>
    public string? Control { get; init; }

    /// <summary>Names of attacks (<see cref="AttackRun.Names"/>); empty for all.</summary>
    public IReadOnlyList<string> Attacks { get; init; } = [];

    /// <summary>
    /// Files with texts of the forget set. The attacker gets the texts that say nothing about the scored questions; without any, the
    /// development questions with their answers.
    /// </summary>
    public IReadOnlyList<string> Forget { get; init; } = [];

    /// <summary>Files with texts of the retain set.</summary>
    public IReadOnlyList<string> Retain { get; init; } = [];

    /// <summary>
    /// Files of multiple-choice questions about what the model should keep; without any, the records of <see cref="Retain"/> that have
    /// wrong answers.
    /// </summary>
    public IReadOnlyList<string> Utility { get; init; } = [];

    /// <summary>Files with texts of neither set.</summary>
    public IReadOnlyList<string> Texts { get; init; } = [];

    /// <summary>How much the attacker spends.</summary>
    public AttackBudget Budget { get; init; } = AttackBudget.Standard;

    /// <summary>Seed of the split into halves and of everything random in the attacks.</summary>
    public ulong Seed { get; init; }

    /// <summary>The form in which the models are asked; null takes that of the run that made the model, else auto.</summary>
    public PromptForm? Form { get; init; }

    /// <summary>
    /// A folder that keeps finished results, so that the original and the control need not be attacked again for another unlearned model;
    /// null for none.
    /// </summary>
    public string? Cache { get; init; }
}
