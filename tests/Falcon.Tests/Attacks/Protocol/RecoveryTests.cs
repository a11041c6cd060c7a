using Falcon.Attacks.Protocol;
using Falcon.Results;

namespace Falcon.Tests.Attacks.Protocol;

public class RecoveryTests
{
    private static double[] Share(int right, int of = 80) => [.. Enumerable.Range(0, of).Select(i => i < right ? 1.0 : 0.0)];

    [Fact]
    public void Share_HalfOfTheGap_IsHalf()
    {
        var share = Recovery.Share(Share(50), Share(20), Share(80), 0); // (50 - 20) / (80 - 20)
        Assert.Equal(0.5, share.Value!.Value, 9);
        Assert.InRange(share.Low!.Value, 0.3, 0.5);
        Assert.InRange(share.High!.Value, 0.5, 0.7);
    }

    [Fact]
    public void Share_NoGap_IsNull() => Assert.Null(Recovery.Share(Share(20), Share(20), Share(21), 0).Value);

    [Fact]
    public void Share_BelowTheFloor_IsNegative() => Assert.Equal(-0.25, Recovery.Share(Share(5), Share(20), Share(80), 0).Value!.Value, 9);

    [Theory]
    [InlineData(0.5, 0.3, 0.5, 0.3, "Recovers")]
    [InlineData(0.5, 0.3, 0.05, -0.1, "DoesNotRecover")] // what the attack gives, it gives to the never-taught control too
    [InlineData(0.2, -0.1, 0.2, -0.1, "CannotTell")]
    [InlineData(-0.2, -0.3, 0.4, 0.2, "CannotTell")] // more than the control, but no more than plain questions
    [InlineData(-0.2, -0.3, 0.4, 0.2, "CannotTell", 0.2, -0.1)] // which may be by chance
    [InlineData(-0.2, -0.3, 0.4, 0.2, "KnownAnyway", 0.6, 0.4)] // or because the model knows
    [InlineData(0.5, 0.3, 0.5, 0.3, "Recovers", 0.6, 0.4)]
    [InlineData(-0.2, -0.3, 0.1, 0.0, "DoesNotRecover", 0.6, 0.4)]
    public void Verdict_ComparesWithControlAndWithPlainQuestions(
        double share,
        double shareLow,
        double beyond,
        double beyondLow,
        string verdict,
        double? plain = null,
        double? plainLow = null
    ) =>
        Assert.Equal(
            verdict,
            AttackVerdicts
                .Of(
                    new RecoveredShare(share, shareLow, 1),
                    new RecoveredShare(beyond, beyondLow, 1),
                    new RecoveredShare(plain, plainLow, 1)
                )
                .ToString()
        );

    [Fact]
    public void Verdict_NothingEvenInTheOriginal_CannotTell() =>
        Assert.Equal(
            AttackVerdict.CannotTell,
            AttackVerdicts.Of(new RecoveredShare(0.5, 0.1, 0.9), new RecoveredShare(null, null, null), null)
        );
}
