using Falcon.Runtime;

namespace Falcon.Tests.Runtime;

public class SeededRandomTests
{
    /// <summary>Expected: the published first outputs of SplitMix64 for the seed 1234567 (Vigna's reference program).</summary>
    [Fact]
    public void SplitMix64_PublishedSeed_GivesPublishedNumbers()
    {
        ulong state = 1234567;
        ulong[] expected = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821];
        Assert.Equal(expected, expected.Select(_ => SeededRandom.SplitMix64(ref state)));
    }

    /// <summary>
    /// Expected: outputs of the reference program for the state 1, 2, 3, 4; the first two follow by hand: rotl(2 * 5, 7) * 9 = 11520, then
    /// s1 = 0 gives 0.
    /// </summary>
    [Fact]
    public void NextUInt64_KnownState_GivesPublishedNumbers()
    {
        var random = new SeededRandom(1, 2, 3, 4);
        ulong[] expected = [11520, 0, 1509978240, 1215971899390074240];
        Assert.Equal(expected, expected.Select(_ => random.NextUInt64()));
    }

    [Fact]
    public void Constructor_SeedAndPurpose_DecideTheNumbers()
    {
        static ulong First(ulong seed, string purpose, long index = 0) => new SeededRandom(seed, purpose, index).NextUInt64();
        Assert.Equal(First(7, "order"), First(7, "order"));
        Assert.NotEqual(First(7, "order"), First(8, "order"));
        Assert.NotEqual(First(7, "order"), First(7, "weights"));
        Assert.NotEqual(First(7, "order"), First(7, "order", 1));
    }

    /// <summary>Expected: 60 000 draws of 6 values have mean 10 000 and standard deviation 91; six of these are 548.</summary>
    [Fact]
    public void Next_ManyDraws_AreUniform()
    {
        var random = new SeededRandom(1, "dice");
        var counts = new int[6];
        for (var draw = 0; draw < 60_000; draw++) counts[random.Next(6)]++;
        Assert.All(counts, count => Assert.InRange(count, 10_000 - 548, 10_000 + 548));
        Assert.Throws<ArgumentOutOfRangeException>(() => random.Next(0));
    }

    /// <summary>
    /// Expected: mean 0 with standard error 0.0045, variance 1 with standard error 0.0063, fourth moment 3 with 0.044 (50 000 draws).
    /// </summary>
    [Fact]
    public void NextGaussian_ManyDraws_HaveNormalMoments()
    {
        var random = new SeededRandom(2, "noise");
        var draws = Enumerable.Range(0, 50_000).Select(_ => random.NextGaussian()).ToArray();
        Assert.Equal(0, draws.Average(), 0.02);
        Assert.Equal(1, draws.Average(x => x * x), 0.03);
        Assert.Equal(3, draws.Average(x => x * x * x * x), 0.2);
    }

    [Fact]
    public void NextDouble_ManyDraws_StayInRangeWithMeanOneHalf()
    {
        var random = new SeededRandom(3, "share");
        var draws = Enumerable.Range(0, 20_000).Select(_ => random.NextDouble()).ToArray();
        Assert.All(draws, x => Assert.InRange(x, 0, 1 - 1e-16));
        Assert.Equal(0.5, draws.Average(), 0.01);
    }

    /// <summary>Expected: each of the 6 orders of 3 items in 12 000 shuffles 2000 times, standard deviation 41.</summary>
    [Fact]
    public void Permutation_ManyTimes_EveryOrderIsEquallyLikely()
    {
        var random = new SeededRandom(4, "orders");
        var counts = Enumerable
            .Range(0, 12_000)
            .Select(_ => string.Join(' ', random.Permutation(3)))
            .CountBy(order => order)
            .ToDictionary();
        Assert.Equal(6, counts.Count);
        Assert.All(counts.Values, count => Assert.InRange(count, 2000 - 246, 2000 + 246));
    }
}
