using Falcon.Attacks;
using Falcon.Attacks.Protocol;
using Falcon.Evaluation.Metrics;
using Falcon.Results;

namespace Falcon.Runs.Attacking;

/// <summary>The rows of the result, from the cells of the attacks.</summary>
internal sealed class AttackRows(AttackCells cells, ulong seed)
{
    private readonly List<TierScores> _asking = [];

    /// <summary>The row of one attack.</summary>
    public AttackRow Row(Attack attack)
    {
        var unlearned = cells.Of(attack, AttackRole.Unlearned);
        var original = cells.Of(attack, AttackRole.Original);
        var control = cells.HasControl ? cells.Of(attack, AttackRole.Control) : null;
        var random = cells.Random(attack);
        var floor = cells.Baseline(attack, AttackRole.Unlearned).Scores.PerItem;
        var share = Recovery.Share(unlearned.Scores.PerItem, floor, original.Scores.PerItem, (long)seed);
        var beyond = control is null
            ? null
            : Recovery.Share(unlearned.Scores.PerItem, control.Scores.PerItem, original.Scores.PerItem, (long)seed);
        var plain = cells.HasControl
            ? Recovery.Share(
                floor,
                cells.Baseline(attack, AttackRole.Control).Scores.PerItem,
                cells.Baseline(attack, AttackRole.Original).Scores.PerItem,
                (long)seed
            )
            : null;
        Dictionary<string, string> kept = new() { ["unlearned"] = unlearned.Scores.Setting, ["original"] = original.Scores.Setting };
        if (control is not null) kept["control"] = control.Scores.Setting;
        var row = new AttackRow(
            attack.Name,
            attack.Tier,
            attack.Definition,
            Value(unlearned.Scores),
            Value(original.Scores),
            control is null ? null : Value(control.Scores),
            random is null ? null : Value(random.Scores),
            Unattacked(attack),
            share,
            beyond,
            AttackVerdicts.Of(share, beyond, plain),
            new AttackCost(unlearned.Scores.Steps, unlearned.Scores.Samples, unlearned.Seconds),
            kept,
            unlearned.Scores.Extras
        )
        {
            FasterThanControl = control is null ? null : Recovery.Faster(unlearned.Scores.Gain, control.Scores.Gain, seed),
            ControlExtras = control?.Scores.Extras,
        };
        if (attack.BaselineName == PlainQuestions.Instance.BaselineName) _asking.Add(Scores(attack, role => cells.Of(attack, role)));
        return row;
    }

    /// <summary>The models without an attack, scored as the attack scores them.</summary>
    public AttackedModels Unattacked(Attack attack) =>
        new(
            Value(cells.Baseline(attack, AttackRole.Unlearned).Scores),
            Value(cells.Baseline(attack, AttackRole.Original).Scores),
            cells.HasControl ? Value(cells.Baseline(attack, AttackRole.Control).Scores) : null
        );

    /// <summary>The tiers, from the attacks that <see cref="Row"/> was asked for and that are judged as plain questions are.</summary>
    public List<AttackTierRow> Tiers() =>
        TierScores.Rows(_asking, Scores(PlainQuestions.Instance, role => cells.Baseline(PlainQuestions.Instance, role)), seed);

    private TierScores Scores(Attack attack, Func<AttackRole, AttackCell> of) =>
        new(
            attack.Name,
            attack.Tier,
            of(AttackRole.Unlearned).Scores,
            of(AttackRole.Original).Scores,
            cells.HasControl ? of(AttackRole.Control).Scores : null
        );

    private MetricValue Value(AttackScores scores) =>
        scores.PerItem.All(score => score is 0 or 1)
            ? Metric.Share(
                [.. scores.PerItem.Select(score => score == 1)],
                Metric.Lower,
                "share of the scored questions that are answered rightly"
            )
            : Metric.Mean(scores.PerItem, Metric.Lower, (long)seed, "mean over the scored questions");
}
