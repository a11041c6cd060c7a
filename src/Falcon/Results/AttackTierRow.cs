namespace Falcon.Results;

/// <summary>
/// The attacks of one tier taken together. A single attack on fifty questions says little: its share has an interval of 20 to 40 points,
/// and the highest of twenty shares is high by chance. The mean over a tier, with the questions resampled together for all its attacks and
/// models, says more. It covers the attacks that are judged as plain questions are: by right answers among choices.
/// </summary>
/// <param name="Tier">The tier; null for all tiers below training.</param>
/// <param name="Attacks">Names of the attacks in the mean.</param>
/// <param name="Attacked">Share of right answers under attack, mean over the attacks, for each model.</param>
/// <param name="RecoveredShare">(attacked - unlearned) / (original attacked - unlearned), of the means.</param>
/// <param name="BeyondControl">
/// (attacked - control attacked) / (original attacked - control attacked), of the means; null without a control.
/// </param>
/// <param name="Verdict">What follows, by <see cref="AttackVerdicts.Of"/>.</param>
public sealed record AttackTierRow(
    AttackTier? Tier,
    IReadOnlyList<string> Attacks,
    AttackedModels Attacked,
    RecoveredShare RecoveredShare,
    RecoveredShare? BeyondControl,
    AttackVerdict Verdict
)
{
    /// <summary>
    /// For training attacks: mean gain along the learning curves of the unlearned model less that of the control, as a share of the
    /// questions. Null for other tiers and without a control.
    /// </summary>
    public MetricValue? FasterThanControl { get; init; }
}
