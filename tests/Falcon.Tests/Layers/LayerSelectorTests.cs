using Falcon.Layers;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Tests.Layers;

public class LayerSelectorTests
{
    [Fact, Trait("Category", "Parity"), Trait("Parity", "true")]
    public void Rank_GoldenCase_AgreesWithThePublishedCode()
    {
        var golden = GoldenCases.OrSkip("mi");
        if (!golden.Json.TryGetProperty("layer_ranking", out var expected))
            Assert.Skip("no layer ranking");
        var layers = expected
            .GetProperty("mutual_information_per_layer")
            .EnumerateArray()
            .Select((value, i) => Layer(i, value.GetDouble()))
            .ToArray();

        var ranking = LayerSelector.Rank(layers);

        Assert.Equal(expected.GetProperty("argmin_layer").GetInt32(), ranking.BestLayer);
        Assert.Equal(expected.GetProperty("layers_with_normalized_le_0.1").EnumerateArray().Select(e => e.GetInt32()), ranking.Candidates);
        foreach (var (row, normalized) in ranking.Table.Zip(expected.GetProperty("normalized").EnumerateArray().Select(e => e.GetDouble())))
            Assert.Equal(normalized, row.Normalized!.Value, 1e-6);
    }

    [Fact]
    public void Rank_FailedLayers_AreShownAndNeverChosen()
    {
        var ranking = LayerSelector.Rank([
            Layer(4, 3),
            new LayerEstimate(5, null, "SingularCovariance", null),
            Layer(6, 2),
            Layer(7, double.NegativeInfinity),
        ]);
        Assert.Equal(6, ranking.BestLayer);
        Assert.Equal(4, ranking.RunnerUp);
        Assert.Equal([6], ranking.Candidates);
        Assert.Equal(["very poor", "failed", "excellent", "failed"], ranking.Table.Select(r => r.Verdict));
        Assert.Null(ranking.Table[1].Normalized);
        var failure = Assert.Throws<NumericalFailureException>(() =>
            LayerSelector.Rank([new LayerEstimate(5, null, "SingularCovariance", null)])
        );
        Assert.Contains("layer 5: SingularCovariance", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Rank_Verdicts_HaveTheLimitsOfTheMethod()
    {
        var ranking = LayerSelector.Rank([
            .. new[] { 0, 0.1, 0.11, 0.4, 0.41, 0.6, 0.61, 0.8, 0.81, 1 }.Select((value, i) => Layer(i, value)),
        ]);
        Assert.Equal(
            ["excellent", "excellent", "good", "good", "fair", "fair", "poor", "poor", "very poor", "very poor"],
            ranking.Table.Select(r => r.Verdict)
        );
    }

    [Fact]
    public void Rank_EqualLayers_AreAllZero()
    {
        var ranking = LayerSelector.Rank([Layer(0, 2), Layer(1, 2)]);
        Assert.All(ranking.Table, row => Assert.Equal(0, row.Normalized));
        Assert.Equal([0, 1], ranking.Candidates);
        Assert.Null(LayerSelector.Rank([Layer(0, 2)]).RunnerUp);
    }

    [Theory, InlineData(1.5, 2.5, 2.4, 3.6, true), InlineData(1.5, 2.3, 2.4, 3.6, false)]
    public void Rank_FlagsOverlappingIntervals(double low, double high, double nextLow, double nextHigh, bool overlap)
    {
        var ranking = LayerSelector.Rank([Layer(0, 2, low, high), Layer(1, 3, nextLow, nextHigh)]);
        Assert.Equal(overlap, ranking.IntervalsOverlap);
        Assert.Null(LayerSelector.Rank([Layer(0, 2), Layer(1, 3)]).IntervalsOverlap);
    }

    [Fact]
    public void Measure_WithAndWithoutInterval_GivesTheSameEstimate()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(3);
        var (forget, retain) = (randn([20, 16], generator: generator), randn([20, 16], generator: generator));
        var plain = LayerSelector.Measure(2, [forget], retain, eta: 0, seed: 1, resamples: 0);
        var full = LayerSelector.Measure(2, [forget], retain, eta: 0, seed: 1, resamples: 8);
        Assert.Equal(MutualInformation.Compute(forget, retain).Value, plain.MutualInformation);
        Assert.Equal(plain, full with { Interval = null });
        Assert.Equal(8, full.Interval!.Bootstraps);
        var failed = LayerSelector.Measure(2, [zeros(20, 16)], retain, eta: 0, seed: 1, resamples: 2);
        Assert.Contains("NoVariance", failed.Failure, StringComparison.Ordinal);
        Assert.Null(failed.Interval);
    }

    private static LayerEstimate Layer(int layer, double information, double? low = null, double? high = null) =>
        new(layer, information, null, low is null ? null : new MutualInformationInterval(low, high, 10, null, null, null, null, 0));
}
