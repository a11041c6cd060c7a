namespace Falcon.Tests.Evaluation.Metrics;

[Trait("Category", "Parity")]
[Trait("Parity", "true")]
public class MetricFixturesTests
{
    [Fact]
    public void EveryFixture_IsOfAKindThatIsTested() =>
        Assert.All(MetricFixtures.All(Fixtures.At("metrics")), file => Assert.NotNull(MetricFixtures.KindOf(file)));
}
