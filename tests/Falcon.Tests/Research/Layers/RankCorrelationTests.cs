using Falcon.Research.Layers;
using Falcon.Runtime;

namespace Falcon.Tests.Research.Layers;

public sealed class RankCorrelationTests
{
    [Fact]
    public void Spearman_TiesHaveTheMeanOfTheirRanks()
    {
        // Ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4: products 4.5, squares 4.5 and 5, worked out by hand.
        Assert.Equal(4.5 / Math.Sqrt(4.5 * 5), RankCorrelation.Spearman([1, 7, 7, 9], [10, 20, 30, 40]), 1e-12);
        Assert.Equal(-1, RankCorrelation.Spearman([1, 2, 3], [0.5, 0.1, -8]), 1e-12);
        Assert.Equal(0, RankCorrelation.Spearman([1, 2, 3], [5, 5, 5]));
    }

    [Fact]
    public void PermutationPValue_OfFourInOrder_IsTwoOfTwentyFour()
    {
        // Of the 24 orders of four values two, up and down, have a correlation of 1 or -1.
        var p = RankCorrelation.PermutationPValue([1, 2, 3, 4], [1, 2, 3, 4], new SeededRandom(0, "test"));

        Assert.Equal(2.0 / 24, p, 0.01);
    }
}
