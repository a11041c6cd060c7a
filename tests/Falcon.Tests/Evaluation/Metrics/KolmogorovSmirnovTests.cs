using System.Numerics;
using CsCheck;
using Falcon.Evaluation.Metrics;

namespace Falcon.Tests.Evaluation.Metrics;

public class KolmogorovSmirnovTests
{
    [Fact]
    public void Test_DisjointSamples_HasTheTwoExtremePaths()
    {
        // Only the two paths along the edges reach D = 1: p = 2 / C(4, 2) = 1/3.
        var result = KolmogorovSmirnov.Test([1, 2], [3, 4]);
        Assert.Equal(1, result.Statistic);
        Assert.Equal(1 / 3.0, result.PValue, 1e-15);
    }

    [Fact]
    public void Test_SmallSamples_AgreesWithCountingPathsInBigIntegers()
    {
        Gen.Select(Gen.Int[0, 6].Array[1, 40], Gen.Int[0, 6].Array[1, 40]).Sample((x, y) =>
        {
            var result = KolmogorovSmirnov.Test([.. x.Select(value => (double)value)], [.. y.Select(value => (double)value)]);
            var expected = PathsOutside(x.Length, y.Length, (long)Math.Round(result.Statistic * x.Length * y.Length));
            Assert.True(Math.Abs(result.PValue - expected) <= 1e-12 * expected, $"{result.PValue:R} against {expected:R}");
        }, iter: 300);
    }

    [Theory]
    [InlineData(400, 400)]
    [InlineData(400, 130)]
    [InlineData(3, 900)]
    public void Test_FarApart_KeepsTheDigitsOfTinyValues(int n, int m)
    {
        double[] x = [.. Enumerable.Range(0, n).Select(i => (double)i)];
        double[] y = [.. Enumerable.Range(0, m).Select(i => (n * 0.7) + (i * 0.9 * n / m))];
        var result = KolmogorovSmirnov.Test(x, y);
        var expected = PathsOutside(n, m, (long)Math.Round(result.Statistic * n * m));
        Assert.True(Math.Abs(result.PValue - expected) <= 1e-10 * expected, $"{result.PValue:R} against {expected:R}");
    }

    [Fact]
    public void Test_TenThousandASide_IsPractical()
    {
        double[] x = [.. Enumerable.Range(0, 10_000).Select(i => (double)i)];
        double[] y = [.. x.Select(value => value + 300.5)];
        // The asymptotic value is close at this size: 2 exp(-2 D² n/2) with D = 0.0301.
        var result = KolmogorovSmirnov.Test(x, y);
        Assert.Equal(0.0301, result.Statistic, 1e-12);
        Assert.Equal(2 * Math.Exp(-2 * 0.0301 * 0.0301 * 5000), result.PValue, 1e-5);
    }

    [Fact]
    public void Test_NanOrEmpty_IsRefused()
    {
        Assert.Throws<ArgumentException>(() => KolmogorovSmirnov.Test([], [1]));
        Assert.Throws<ArgumentException>(() => KolmogorovSmirnov.Test([1], [double.NaN]));
    }

    /// <summary>1 - N/C(n+m, n) in integers, N = paths whose points all have |i·m - j·n| below d.</summary>
    private static double PathsOutside(int n, int m, long distance)
    {
        if (distance == 0) return 1;
        var inside = new BigInteger[m + 1];
        var all = new BigInteger[m + 1];
        for (var i = 0; i <= n; i++)
        {
            for (var j = 0; j <= m; j++)
            {
                var start = i == 0 && j == 0;
                all[j] = start ? 1 : (i > 0 ? all[j] : 0) + (j > 0 ? all[j - 1] : 0);
                var paths = start ? 1 : (i > 0 ? inside[j] : 0) + (j > 0 ? inside[j - 1] : 0);
                inside[j] = Math.Abs(((long)i * m) - ((long)j * n)) < distance ? paths : 0;
            }
        }
        // Shifted so that both fit a double with all their digits.
        var shift = (int)Math.Max(0, all[m].GetBitLength() - 1000);
        return Math.ScaleB((double)((all[m] - inside[m]) << 64 >> shift), -64) / (double)(all[m] >> shift);
    }
}
