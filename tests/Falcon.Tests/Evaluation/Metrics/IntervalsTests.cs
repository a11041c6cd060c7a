using Falcon.Evaluation.Metrics;

namespace Falcon.Tests.Evaluation.Metrics;

public class IntervalsTests
{
    [Fact]
    public void Wilson_HandExample_HasTheTextbookEnds()
    {
        // n = 10, p = 0.5, z² = 3.8414588: centre 0.5, half width z·sqrt(0.025 + z²/400) / (1 + z²/10) = 0.2634.
        var interval = Intervals.Wilson(5, 10);
        Assert.Equal(0.2366, interval.Low, 1e-4);
        Assert.Equal(0.7634, interval.High, 1e-4);
    }

    [Fact]
    public void Wilson_Extremes_StayInsideZeroAndOne()
    {
        // With no success the upper end is z² / (n + z²).
        var none = Intervals.Wilson(0, 20);
        Assert.Equal(0, none.Low);
        Assert.Equal(3.841458820694124 / 23.841458820694124, none.High, 1e-12);
        Assert.Equal(1, Intervals.Wilson(20, 20).High);
        Assert.Throws<ArgumentOutOfRangeException>(() => Intervals.Wilson(3, 2));
    }

    [Fact]
    public void Bootstrap_SameSeed_IsTheSameAndCoversTheNormalInterval()
    {
        double[] values = [.. Enumerable.Range(0, 400).Select(i => (double)(i % 10))];
        Interval Of(long seed) => Bootstrap.Of(values.Length, seed, drawn => drawn.Average(i => values[i]))!.Value;
        Assert.Equal(Of(7), Of(7));
        Assert.NotEqual(Of(7), Of(8));
        // Mean 4.5, standard error sqrt(8.25 / 400) = 0.1436: 4.5 ± 0.2815 by the normal law.
        Assert.Equal(4.2185, Of(7).Low, 0.03);
        Assert.Equal(4.7815, Of(7).High, 0.03);
    }

    [Fact]
    public void Bootstrap_OneValue_HasNoInterval() => Assert.Null(Bootstrap.Of(1, seed: 1, drawn => 3 + drawn[0]));

    [Theory]
    [InlineData(new[] { 3.0, 1, 2 }, 2)]
    [InlineData(new[] { 4.0, 1, 2, 8 }, 3)]
    public void Median_OddAndEvenCounts_IsTheMiddle(double[] values, double expected) => Assert.Equal(expected, Median.Of(values));

    [Fact]
    public void SampleMean_HandExample()
    {
        // 1, 2, 3: mean 2, sample deviation 1, error 1/sqrt(3).
        var mean = SampleMean.Of([1, 2, 3]);
        Assert.Equal(2, mean.Mean);
        Assert.Equal(1 / Math.Sqrt(3), mean.StandardError!.Value, 1e-15);
        Assert.Null(SampleMean.Of([5]).StandardError);
    }
}
