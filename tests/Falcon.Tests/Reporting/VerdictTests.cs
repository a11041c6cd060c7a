using Falcon.Reporting;
using Falcon.Results;

namespace Falcon.Tests.Reporting;

public class VerdictTests
{
    private static MetricValue Share(double value) => new(value, value - 0.05, value + 0.05, "higher", null, 100);

    private static ScoreRow Row(ScoreGroup group, double before, double after, double? control = null) =>
        new(group, "it", "percent", Share(before), Share(after), control is { } value ? Share(value) : null);

    [Theory]   // the control's interval ends at 0.30; kept shares may fall by 0.02
    [InlineData(0.29, 0.95, VerdictKind.Success)]
    [InlineData(0.31, 0.95, VerdictKind.Partial)]
    [InlineData(0.29, 0.90, VerdictKind.Partial)]
    [InlineData(0.31, 0.90, VerdictKind.Failure)]
    public void Of_ForgetAndRetain_FollowsTheRules(double forgetAfter, double retainAfter, VerdictKind expected) =>
        Assert.Equal(
            expected,
            Verdict.Of([Row(ScoreGroup.Forget, 0.95, forgetAfter, 0.25), Row(ScoreGroup.Retain, 0.96, retainAfter)]).Kind
        );

    [Fact]
    public void Of_NoControl_HalfOfBeforeIsForgotten()
    {
        Assert.Equal(VerdictKind.Success, Verdict.Of([Row(ScoreGroup.Forget, 0.9, 0.45), Row(ScoreGroup.Retain, 0.9, 0.9)]).Kind);
        Assert.Equal(VerdictKind.Partial, Verdict.Of([Row(ScoreGroup.Forget, 0.9, 0.46), Row(ScoreGroup.Retain, 0.9, 0.9)]).Kind);
    }

    [Theory]   // perplexity may grow by 5 %
    [InlineData(10.5, VerdictKind.Success)]
    [InlineData(10.6, VerdictKind.Partial)]
    public void Of_PerplexityGrows_OnlyFivePercentIsKept(double after, VerdictKind expected)
    {
        var perplexity = new ScoreRow(
            ScoreGroup.General,
            "perplexity",
            "number",
            new MetricValue(10, null, null, "lower", null, 1),
            new MetricValue(after, null, null, "lower", null, 1),
            null
        );
        Assert.Equal(expected, Verdict.Of([Row(ScoreGroup.Forget, 0.9, 0.2, 0.25), perplexity]).Kind);
    }

    [Fact]
    public void Of_NothingKeptWasMeasured_IsNoSuccess() =>
        Assert.Equal(VerdictKind.Partial, Verdict.Of([Row(ScoreGroup.Forget, 0.9, 0.2, 0.25)]).Kind);

    [Fact]
    public void Of_NoForgetScore_IsUnknown() => Assert.Equal(VerdictKind.Unknown, Verdict.Of([Row(ScoreGroup.Retain, 0.9, 0.9)]).Kind);
}
