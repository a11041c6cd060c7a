using System.Text.Json;
using Falcon.Attacks.Protocol;
using Falcon.Evaluation;
using Falcon.Runs.Attacking;
using Falcon.Runtime;

namespace Falcon.Results;

/// <summary>The result file of <see cref="AttackRun"/>, <c>attacks.json</c>.</summary>
/// <param name="Attacks">One entry an attack, in the order of the tiers.</param>
/// <param name="Unattacked">Multiple choice of the scored questions without any attack.</param>
/// <param name="Budget">How much the attacker spent.</param>
/// <param name="Seed">Seed of the halves and of everything drawn.</param>
/// <param name="Questions">Numbers of questions and texts.</param>
/// <param name="Models">The models with their hashes, by role: unlearned, original, control.</param>
/// <param name="Data">The data files with their hashes.</param>
/// <param name="Environment">Versions, device, dtype and start.</param>
/// <param name="Seconds">Wall-clock time of this run, without cells that were there before.</param>
public sealed record AttackResult(
    IReadOnlyList<AttackRow> Attacks, AttackedModels Unattacked, AttackBudget Budget, ulong Seed, AttackQuestions Questions,
    IReadOnlyDictionary<string, EvaluatedModel> Models, IReadOnlyList<FileHash> Data, EnvironmentRecord Environment, double Seconds)
{
    /// <summary>
    /// The attacks of each tier taken together, then all below training; empty in older files and where no attack is judged as plain
    /// questions are.
    /// </summary>
    public IReadOnlyList<AttackTierRow> Tiers { get; init; } = [];

    /// <summary>Name of the result file in the directory.</summary>
    public const string FileName = "attacks.json";

    /// <summary>Reads a result file.</summary>
    /// <exception cref="UserInputException">It cannot be read as one.</exception>
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

/// <summary>The same number of every model.</summary>
/// <param name="Unlearned">The model under attack.</param>
/// <param name="Original">The model before unlearning.</param>
/// <param name="Control">A model that was never taught; null without one.</param>
public sealed record AttackedModels(MetricValue Unlearned, MetricValue Original, MetricValue? Control);

/// <summary>What one attack got out of the models.</summary>
/// <param name="Name">The attack.</param>
/// <param name="Tier">What the attacker needs.</param>
/// <param name="Definition">What is done, with its source.</param>
/// <param name="Unlearned">Mean score of the attacked unlearned model.</param>
/// <param name="Original">Of the original, attacked the same way.</param>
/// <param name="Control">Of the never-taught control, attacked the same way; null without one.</param>
/// <param name="Random">Of the unlearned model under an attack of the same form without its knowledge; null where there is none.</param>
/// <param name="Unattacked">The models without the attack, judged the same way.</param>
/// <param name="RecoveredShare">(attacked - unlearned) / (original attacked - unlearned).</param>
/// <param name="BeyondControl">(attacked - control attacked) / (original attacked - control attacked); null without a control.</param>
/// <param name="Verdict">What follows.</param>
/// <param name="Budget">What the attack on the unlearned model took.</param>
/// <param name="Settings">The strength kept for each model, by role.</param>
/// <param name="Extras">Other numbers of the attack on the unlearned model.</param>
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
    /// For training: mean height of the unlearned model's learning curve above its start less that of the control's, in shares of the
    /// questions. Above zero the unlearned model learns faster than one that was never taught; null otherwise.
    /// </summary>
    public MetricValue? FasterThanControl { get; init; }

    /// <summary>Other numbers of the attack on the control; null without one.</summary>
    public IReadOnlyDictionary<string, double>? ControlExtras { get; init; }
}

/// <summary>What an attack took.</summary>
/// <param name="Steps">Steps of optimisation or training.</param>
/// <param name="Samples">Samples looked at or drawn.</param>
/// <param name="Seconds">Wall-clock time.</param>
public sealed record AttackCost(int Steps, int Samples, double Seconds);

/// <summary>Numbers of questions and texts.</summary>
/// <param name="Development">Questions that the attacker may use.</param>
/// <param name="Test">Questions that are scored.</param>
/// <param name="Utility">Questions about what the model shall keep.</param>
/// <param name="ForgetTexts">Texts of the forget set that the attacker may use.</param>
/// <param name="RetainTexts">Texts of the retain set.</param>
/// <param name="BenignTexts">Texts of neither.</param>
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

/// <summary>What the comparison with the control says.</summary>
public enum AttackVerdict
{
    /// <summary>
    /// The attack gets more out of the model than plain questions do and than it gets out of a model that was never taught.
    /// </summary>
    Recovers,

    /// <summary>The model knows more than one that was never taught by plain questions already, and the attack gets no more.</summary>
    KnownAnyway,

    /// <summary>At most a tenth of what the original has beyond the control.</summary>
    DoesNotRecover,

    /// <summary>The intervals are too wide, or the attack finds nothing even in the original.</summary>
    CannotTell,
}
