using System.Text.Json;
using Falcon.Data;
using Falcon.Runtime;

namespace Falcon.Results;

/// <summary>The result file of <c>falcon attack</c>, <c>attacks.json</c>.</summary>
/// <param name="Attacks">One entry for each attack, in the order of the tiers.</param>
/// <param name="Unattacked">Multiple choice on the scored questions without any attack.</param>
/// <param name="Budget">How much the attacker spent.</param>
/// <param name="Seed">Seed of the split into halves and of everything random.</param>
/// <param name="Questions">Numbers of questions and texts.</param>
/// <param name="Models">The models with their hashes, by role: unlearned, original, control.</param>
/// <param name="Data">The data files with their hashes.</param>
/// <param name="Environment">Versions, device, dtype and start.</param>
/// <param name="Seconds">Wall-clock time of this run, without results that were there before.</param>
public sealed record AttackResult(
    IReadOnlyList<AttackRow> Attacks, AttackedModels Unattacked, AttackBudget Budget, ulong Seed, AttackQuestions Questions,
    IReadOnlyDictionary<string, EvaluatedModel> Models, IReadOnlyList<FileHash> Data, EnvironmentRecord Environment, double Seconds)
{
    /// <summary>The form in which the models were asked; null in results of before there was a choice.</summary>
    public PromptForm? Form { get; init; }

    /// <summary>
    /// The attacks of each tier taken together, then all below training; empty in files of earlier versions, and where no attack is judged
    /// as plain questions are.
    /// </summary>
    public IReadOnlyList<AttackTierRow> Tiers { get; init; } = [];

    /// <summary>Name of the result file in the run directory.</summary>
    public const string FileName = "attacks.json";

    /// <summary>Reads a result file.</summary>
    /// <exception cref="UserInputException">The file is missing, or is no result of <c>falcon attack</c>.</exception>
    public static AttackResult Read(string path)
    {
        if (!File.Exists(path)) throw new UserInputException($"{path}: there is no such file; give a result file of attack.");
        try
        {
            return
                JsonSerializer.Deserialize<AttackResult>(File.ReadAllText(path), ResultJson.Options)
                    is { Attacks: not null, Unattacked: not null } result
                ? result
                : throw new UserInputException($"{path}: it is no result file of attack; name another file.");
        }
        catch (JsonException error)
        {
            throw new UserInputException($"{path}: it is no result file of attack ({error.Path ?? "not JSON"}); name another file.", error);
        }
    }
}

/// <summary>One number, measured on each model.</summary>
/// <param name="Unlearned">The model under attack.</param>
/// <param name="Original">The model before unlearning.</param>
/// <param name="Control">A model that was never taught the forget set; null without one.</param>
public sealed record AttackedModels(MetricValue Unlearned, MetricValue Original, MetricValue? Control);

/// <summary>What one attack got out of the models.</summary>
/// <param name="Name">The attack.</param>
/// <param name="Tier">What the attacker needs.</param>
/// <param name="Definition">What is done, with its source.</param>
/// <param name="Unlearned">Mean score of the unlearned model under attack.</param>
/// <param name="Original">Mean score of the original, attacked the same way.</param>
/// <param name="Control">Mean score of the never-taught control, attacked the same way; null without one.</param>
/// <param name="Random">
/// Mean score of the unlearned model under an attack of the same form without its knowledge; null where the attack has no such form.
/// </param>
/// <param name="Unattacked">The models without the attack, judged the same way.</param>
/// <param name="RecoveredShare">(attacked - unlearned) / (original attacked - unlearned).</param>
/// <param name="BeyondControl">(attacked - control attacked) / (original attacked - control attacked); null without a control.</param>
/// <param name="Verdict">What follows, by <see cref="AttackVerdicts.Of"/>.</param>
/// <param name="Budget">What the attack on the unlearned model took.</param>
/// <param name="Settings">The strength kept for each model, by role.</param>
/// <param name="Extras">Other numbers of the attack on the unlearned model, by name.</param>
public sealed record AttackRow(
    string Name,
    AttackTier Tier,
    string Definition,
    MetricValue Unlearned,
    MetricValue Original,
    MetricValue? Control,
    MetricValue? Random,
    AttackedModels Unattacked,
    RecoveredShare RecoveredShare,
    RecoveredShare? BeyondControl,
    AttackVerdict Verdict,
    AttackCost Budget,
    IReadOnlyDictionary<string, string> Settings,
    IReadOnlyDictionary<string, double> Extras
)
{
    /// <summary>
    /// For training attacks: mean gain along the learning curve of the unlearned model less that of the control, as a share of the
    /// questions. Above zero the unlearned model learns faster than one that was never taught. Null for other tiers and without a control.
    /// </summary>
    public MetricValue? FasterThanControl { get; init; }

    /// <summary>Other numbers of the attack on the control, by name; null without a control.</summary>
    public IReadOnlyDictionary<string, double>? ControlExtras { get; init; }
}

/// <summary>What an attack took.</summary>
/// <param name="Steps">Steps of optimisation or training; 0 for attacks without.</param>
/// <param name="Samples">Questions, texts or draws that were used.</param>
/// <param name="Seconds">Wall-clock time.</param>
public sealed record AttackCost(int Steps, int Samples, double Seconds);

/// <summary>Numbers of questions and texts.</summary>
/// <param name="Development">Questions that the attacker may use.</param>
/// <param name="Test">Questions that are scored.</param>
/// <param name="Utility">Questions about what the model should keep.</param>
/// <param name="ForgetTexts">Texts of the forget set that the attacker may use.</param>
/// <param name="RetainTexts">Texts of the retain set.</param>
/// <param name="BenignTexts">Texts of neither set.</param>
/// <param name="AnsweredBy"><c>fullAnswer</c> or <c>letter</c>.</param>
public sealed record AttackQuestions(
    int Development,
    int Test,
    int Utility,
    int ForgetTexts,
    int RetainTexts,
    int BenignTexts,
    string AnsweredBy
);
