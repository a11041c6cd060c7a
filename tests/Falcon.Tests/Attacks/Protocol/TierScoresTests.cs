using Falcon.Attacks.Protocol;
using Falcon.Results;

namespace Falcon.Tests.Attacks.Protocol;

/// <summary>Attacks of a tier taken together.</summary>
public class TierScoresTests
{
    private const int Questions = 40;

    private static AttackScores Scores(Func<int, bool> right, params double[] gain) =>
        new([.. Enumerable.Range(0, Questions).Select(i => right(i) ? 1.0 : 0.0)], "none") { Gain = gain };

    private static TierScores Attack(string name, AttackTier tier, Func<int, bool> unlearned, Func<int, bool>? control = null) =>
        new(name, tier, Scores(unlearned), Scores(_ => true), control is null ? null : Scores(control));

    private static TierScores Plain(int right, int? control = null) =>
        new("none", AttackTier.BlackBox, Scores(i => i < right), Scores(_ => true), control is { } known ? Scores(i => i < known) : null);

    [Fact]
    public void Rows_TwoAttacksOfATier_AreTheMeanOfBoth()
    {
        var rows = TierScores.Rows(
            [Attack("a", AttackTier.Weights, i => i < 12, i => i < 8), Attack("b", AttackTier.Weights, i => i < 20, i => i < 16)],
            Plain(10),
            0
        );
        Assert.Equal([AttackTier.Weights, null], rows.Select(row => row.Tier));
        var row = rows[0];
        Assert.Equal(["a", "b"], row.Attacks);
        Assert.Equal(0.4, row.Attacked.Unlearned.Value, 9); // (12 + 20) / 2 of 40
        Assert.Equal(0.3, row.Attacked.Control!.Value, 9);
        Assert.Equal(6 / 30.0, row.RecoveredShare.Value!.Value, 9); // (16 - 10) / (40 - 10)
        Assert.Equal(4 / 28.0, row.BeyondControl!.Value!.Value, 9); // (16 - 12) / (40 - 12)
        Assert.Null(row.FasterThanControl);
    }

    [Fact]
    public void Rows_BelowTraining_LeavesTrainingOut()
    {
        var rows = TierScores.Rows(
            [
                Attack("a", AttackTier.BlackBox, i => i < 12),
                Attack("b", AttackTier.Activations, i => i < 20),
                Attack("c", AttackTier.Training, _ => true),
            ],
            Plain(10),
            0
        );
        Assert.Equal([AttackTier.BlackBox, AttackTier.Activations, AttackTier.Training, null], rows.Select(row => row.Tier));
        Assert.Equal(["a", "b"], rows[^1].Attacks);
        Assert.Equal(0.4, rows[^1].Attacked.Unlearned.Value, 9);
        Assert.Null(rows[^1].BeyondControl);
        Assert.Single(TierScores.Rows([Attack("c", AttackTier.Training, _ => true)], Plain(10), 0));
    }

    [Fact]
    public void Rows_ModelThatStillAnswers_IsKnownAnyway()
    {
        List<TierScores> attacks =
        [
            Attack("a", AttackTier.Weights, i => i < 28, i => i < 10),
            Attack("b", AttackTier.Weights, i => i < 30, i => i < 10),
        ];
        Assert.Equal(AttackVerdict.KnownAnyway, TierScores.Rows(attacks, Plain(30, control: 10), 0)[0].Verdict);
        Assert.Equal(AttackVerdict.CannotTell, TierScores.Rows(attacks, Plain(30), 0)[0].Verdict);
        Assert.Equal(AttackVerdict.Recovers, TierScores.Rows(attacks, Plain(10, control: 10), 0)[0].Verdict);
    }

    // Five attacks that each get 25 of 40 right where plain questions get 15: alone none has an interval above zero that another question
    // could not undo, together they have a narrower one.
    [Fact]
    public void Rows_AttacksOnDifferentQuestions_NarrowTheInterval()
    {
        List<TierScores> attacks =
        [
            .. Enumerable.Range(0, 5).Select(shift => Attack($"{shift}", AttackTier.Weights, i => (i + (shift * 8)) % Questions < 25)),
        ];
        var alone = TierScores.Rows([attacks[2]], Plain(15), 0)[0].RecoveredShare;
        var together = TierScores.Rows(attacks, Plain(15), 0)[0].RecoveredShare;
        Assert.Equal(alone.Value!.Value, together.Value!.Value, 9);
        Assert.True(together.High - together.Low < alone.High - alone.Low, $"{together} against {alone}");
    }

    [Fact]
    public void Rows_Trainings_CompareTheMeanGainWithTheControls()
    {
        double[] Gain(double of) => [.. Enumerable.Repeat(of, Questions)];
        TierScores Course(string name, double unlearned, double control) =>
            new(name, AttackTier.Training, Scores(i => i < 12, Gain(unlearned)), Scores(_ => true), Scores(i => i < 12, Gain(control)));
        Assert.Equal(0.15, TierScores.Rows([Course("a", 0.3, 0.1), Course("b", 0.2, 0.1)], Plain(10), 0)[0].FasterThanControl!.Value, 9);
    }
}
