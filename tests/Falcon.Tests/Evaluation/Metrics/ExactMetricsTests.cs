using Falcon.Compression;
using Falcon.Evaluation.Membership;
using Falcon.Evaluation.Metrics;
using Falcon.Evaluation.Suites;

namespace Falcon.Tests.Evaluation.Metrics;

public class ExactMetricsTests
{
    [Fact]
    public void TokenStatistics_TwoTokens_HasTheClosedForm()
    {
        // p = 1/4 and 3/4: mu = (ln 1/4 + 3 ln 3/4) / 4, var = p(1-p)·(ln 3)².
        var token = TokenStatistics.FromLogits([100, 100 + Math.Log(3)], 0);
        Assert.Equal(Math.Log(0.25), token.LogProbability, 1e-12);
        Assert.Equal((Math.Log(0.25) + (3 * Math.Log(0.75))) / 4, token.Mean, 1e-12);
        Assert.Equal(0.1875 * Math.Log(3) * Math.Log(3), token.Variance, 1e-12);
        Assert.False(token.IsHit);
    }

    [Fact]
    public void TokenStatistics_ImpossibleToken_DoesNotMakeNan() =>
        Assert.Equal(0, TokenStatistics.FromLogits([0, double.NegativeInfinity], 0).Mean);

    [Fact]
    public void TokenStatistics_LabelAtPositionZero_IsRefused() =>
        Assert.Throws<ArgumentException>(() => TokenStatistics.OfLabels([[0, 1]], [1]));

    [Fact]
    public void Rouge_EmptySide_IsZero()
    {
        Assert.Equal(default, Rouge.LongestCommonSubsequence("", "", stem: true));
        Assert.Equal(default, Rouge.NGrams("word", "!?", 1, stem: true));
    }

    [Fact]
    public void Rouge_DottedCapital_SplitsAfterI() =>
        Assert.Equal(["i", "zmir", "kelvin"], Rouge.Tokenize("İzmir_\u212Aelvin", stem: false));

    [Fact]
    public void Auc_Ties_CountHalf() => Assert.Equal((1 + 0.5 + 0 + 1) / 4, MembershipInference.Auc([1, 2], [2, 1.5]));

    [Fact]
    public void Auc_Nan_IsRefused() => Assert.Throws<ArgumentException>(() => MembershipInference.Auc([1], [double.NaN]));

    [Fact]
    public void HarmonicMean_ZeroAndNegative()
    {
        Assert.Equal(0, ModelUtility.HarmonicMean([0.5, 0]));
        Assert.Throws<ArgumentException>(() => ModelUtility.HarmonicMean([0.5, -0.1]));
        Assert.Throws<ArgumentException>(() => ModelUtility.HarmonicMean([double.NaN]));
    }

    [Fact]
    public void OpenUnlearning_StripsWhatPythonStrips() =>
        Assert.Equal("a", GenerationTrimming.OpenUnlearning("\u001c\u00a0a \u0085\u001f</s>b", "</s>", []));

    [Fact]
    public void Detokenize_UnpairedAndNestedSigns_KeepsTheRest() =>
        Assert.Equal("(( a) b ) [ c '", WikiTextDetokenizer.Detokenize("( ( a ) b ) [ c '"));

    [Fact]
    public void Detokenize_ManyUnpairedSigns_TakesLinearTime() =>
        Assert.Equal(200_000, WikiTextDetokenizer.Detokenize(new string('(', 200_000)).Length);

    [Fact]
    public void WordsOfText_CountsEmptyPiecesAtTheEnds() => Assert.Equal(4, PageLikelihood.CountWords(" a  b\n"));

    [Theory]
    // Lengths made by zlib 1.2.13, level 6, of the bytes that Bytes() describes.
    [InlineData(0, 2, 1, 0, 8)]
    [InlineData(1, 2, 1, 0, 9)]
    [InlineData(40, 60, 2, 0, 48)]
    [InlineData(3000, 2, 3, 0, 544)]
    [InlineData(3000, 256, 4, 0, 3011)]
    [InlineData(20000, 90, 5, 40, 4208)]
    [InlineData(70000, 26, 6, 300, 2910)]
    [InlineData(200000, 256, 7, 0, 200071)]
    [InlineData(200000, 250, 8, 30, 65070)]
    [InlineData(300000, 3, 9, 600, 17008)]
    [InlineData(1000000, 1, 10, 0, 991)]
    public void ZlibLength_GeneratedBytes_IsZlibsOwn(int length, int alphabet, uint seed, int longestRepeat, long expected) =>
        Assert.Equal(expected, ZlibLength.Of(Bytes(length, alphabet, seed, longestRepeat)));

    /// <summary>Bytes of a linear congruential generator, with copies of earlier bytes in between when asked for.</summary>
    private static byte[] Bytes(int length, int alphabet, uint seed, int longestRepeat)
    {
        var state = seed;
        var bytes = new List<byte>();
        while (bytes.Count < length)
        {
            var draw = Next();
            if (longestRepeat == 0 || bytes.Count <= 300 || draw >> 28 >= 4)
            {
                bytes.Add((byte)((draw >> 16) % alphabet));
                continue;
            }
            draw = Next();
            var distance = 1 + (int)((draw >> 8) % Math.Min(bytes.Count, 40_000));
            for (var left = 3 + (int)((draw >> 3) % longestRepeat); left > 0; left--) bytes.Add(bytes[^distance]);
        }
        return [.. bytes.Take(length)];

        uint Next() => state = unchecked((state * 1664525) + 1013904223);
    }
}
