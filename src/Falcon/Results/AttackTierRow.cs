using Falcon.Attacks.Protocol;
using Falcon.Evaluation.Metrics;
using Falcon.Runs.Attacking;

namespace Falcon.Results;

/// <summary>
/// What the attacks of a tier get when they are taken together. One attack on fifty questions says little: its share has an interval of 20
/// to 40 points, and the highest of twenty is high by chance. The mean over a tier, with the questions drawn together for all its attacks
/// and models, says more. In it are the attacks that are judged as plain questions are, by right answers among choices.
/// </summary>
/// <param name="Tier">The tier; null for all below training.</param>
/// <param name="Attacks">Names of the attacks in the mean.</param>
/// <param name="Attacked">Share of right answers under attack, mean over the attacks, of each model.</param>
/// <param name="RecoveredShare">(attacked - unlearned) / (original attacked - unlearned), of the means.</param>
/// <param name="BeyondControl">
/// (attacked - control attacked) / (original attacked - control attacked), of the means; null without a control.
/// </param>
/// <param name="Verdict">What follows, by the rule for one attack.</param>
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
    /// For training: mean gain over the courses less that of the control's, in shares of the questions; null otherwise and without a
    /// control.
    /// </summary>
    public MetricValue? FasterThanControl { get; init; }

    /// <summary>Rows of the tiers, then one for all below training.</summary>
    /// <param name="attacks">Attacks that are judged as plain questions are, with what they got.</param>
    /// <param name="plain">Plain questions.</param>
    /// <param name="seed">Seed of the bootstrap.</param>
    internal static List<AttackTierRow> All(IReadOnlyList<TieredScores> attacks, TieredScores plain, ulong seed)
    {
        List<AttackTierRow> rows = [.. attacks.GroupBy(attack => attack.Tier).Select(tier => Of(tier.Key, [.. tier], plain, seed))];
        List<TieredScores> below = [.. attacks.Where(attack => attack.Tier < AttackTier.Training)];
        if (below.Count > 0) rows.Add(Of(null, below, plain, seed));
        return rows;
    }

    private static AttackTierRow Of(AttackTier? tier, List<TieredScores> attacks, TieredScores plain, ulong seed)
    {
        MetricValue Value(double[] scores) =>
            Metric.Mean(scores, Metric.Lower, (long)seed, "share of the scored questions that are answered rightly, mean over the attacks");
        var unlearned = Mean([.. attacks.Select(attack => attack.Unlearned.PerItem)]);
        var original = Mean([.. attacks.Select(attack => attack.Original.PerItem)]);
        var control = attacks[0].Control is null ? null : Mean([.. attacks.Select(attack => attack.Control!.PerItem)]);
        var share = RecoveredShare.Of(unlearned, plain.Unlearned.PerItem, original, (long)seed);
        var beyond = control is null ? null : RecoveredShare.Of(unlearned, control, original, (long)seed);
        var known = plain.Control is null
            ? null
            : RecoveredShare.Of(plain.Unlearned.PerItem, plain.Control.PerItem, plain.Original.PerItem, (long)seed);
        List<TieredScores> learning = [.. attacks.Where(attack => attack.Unlearned.Gain.Count > 0 && attack.Control is not null)];
        return new AttackTierRow(
            tier,
            [.. attacks.Select(attack => attack.Name)],
            new AttackedModels(Value(unlearned), Value(original), control is null ? null : Value(control)),
            share,
            beyond,
            AttackRun.Verdict(share, beyond, known)
        )
        {
            FasterThanControl =
                learning.Count == 0
                    ? null
                    : AttackRun.Faster(
                        Mean([.. learning.Select(attack => attack.Unlearned.Gain)]),
                        Mean([.. learning.Select(attack => attack.Control!.Gain)]),
                        seed
                    ),
        };
    }

    private static double[] Mean(List<IReadOnlyList<double>> scores) =>
        [.. Enumerable.Range(0, scores[0].Count).Select(item => scores.Average(values => values[item]))];
}

/// <summary>An attack's scores on each model.</summary>
/// <param name="Name">The attack.</param>
/// <param name="Tier">What the attacker needs.</param>
/// <param name="Unlearned">On the model under attack.</param>
/// <param name="Original">On the model before unlearning.</param>
/// <param name="Control">On the never-taught control; null without one.</param>
internal sealed record TieredScores(string Name, AttackTier Tier, AttackScores Unlearned, AttackScores Original, AttackScores? Control);
