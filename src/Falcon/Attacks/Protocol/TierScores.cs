using Falcon.Evaluation.Metrics;
using Falcon.Results;

namespace Falcon.Attacks.Protocol;

/// <summary>The scores of one attack on each model, and how the attacks of a tier are taken together.</summary>
/// <param name="Name">The attack.</param>
/// <param name="Tier">What the attacker needs.</param>
/// <param name="Unlearned">Scores on the model under attack.</param>
/// <param name="Original">Scores on the model before unlearning.</param>
/// <param name="Control">Scores on the never-taught control; null without one.</param>
internal sealed record TierScores(string Name, AttackTier Tier, AttackScores Unlearned, AttackScores Original, AttackScores? Control)
{
    /// <summary>One row for each tier, then one for all tiers below training.</summary>
    /// <param name="attacks">Attacks that are judged as plain questions are.</param>
    /// <param name="plain">Plain questions.</param>
    /// <param name="seed">Seed of the bootstrap.</param>
    public static List<AttackTierRow> Rows(IReadOnlyList<TierScores> attacks, TierScores plain, ulong seed)
    {
        List<AttackTierRow> rows = [.. attacks.GroupBy(attack => attack.Tier).Select(tier => Row(tier.Key, [.. tier], plain, seed))];
        List<TierScores> below = [.. attacks.Where(attack => attack.Tier < AttackTier.Training)];
        if (below.Count > 0) rows.Add(Row(null, below, plain, seed));
        return rows;
    }

    private static AttackTierRow Row(AttackTier? tier, List<TierScores> attacks, TierScores plain, ulong seed)
    {
        MetricValue Value(double[] scores) =>
            Metric.Mean(scores, Metric.Lower, (long)seed, "share of the scored questions that are answered rightly, mean over the attacks");
        var unlearned = Mean([.. attacks.Select(attack => attack.Unlearned.PerItem)]);
        var original = Mean([.. attacks.Select(attack => attack.Original.PerItem)]);
        var control = attacks[0].Control is null ? null : Mean([.. attacks.Select(attack => attack.Control!.PerItem)]);
        var share = Recovery.Share(unlearned, plain.Unlearned.PerItem, original, (long)seed);
        var beyond = control is null ? null : Recovery.Share(unlearned, control, original, (long)seed);
        var known = plain.Control is null
            ? null
            : Recovery.Share(plain.Unlearned.PerItem, plain.Control.PerItem, plain.Original.PerItem, (long)seed);
        List<TierScores> learning = [.. attacks.Where(attack => attack.Unlearned.Gain.Count > 0 && attack.Control is not null)];
        return new AttackTierRow(
            tier,
            [.. attacks.Select(attack => attack.Name)],
            new AttackedModels(Value(unlearned), Value(original), control is null ? null : Value(control)),
            share,
            beyond,
            AttackVerdicts.Of(share, beyond, known)
        )
        {
            FasterThanControl =
                learning.Count == 0
                    ? null
                    : Recovery.Faster(
                        Mean([.. learning.Select(attack => attack.Unlearned.Gain)]),
                        Mean([.. learning.Select(attack => attack.Control!.Gain)]),
                        seed
                    ),
        };
    }

    private static double[] Mean(List<IReadOnlyList<double>> scores) =>
        [.. Enumerable.Range(0, scores[0].Count).Select(item => scores.Average(values => values[item]))];
}
