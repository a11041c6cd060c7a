using Falcon.Evaluation.Metrics;

namespace Falcon.Tests.Evaluation.Metrics;

public class SampledAnswersTests
{
    [Fact]
    public void ExpectedBest_IsTheMeanOverAllSubsets()
    {
        double[] scores = [0.3, 0.9, 0.1, 0.9, 0.5];
        for (var k = 1; k <= scores.Length; k++)
        {
            var size = k;
            var best = Enumerable
                .Range(0, 1 << scores.Length)
                .Where(set => int.PopCount(set) == size)
                .Select(set => Enumerable.Range(0, scores.Length).Where(i => (set >> i & 1) == 1).Max(i => scores[i]));
            Assert.Equal(best.Average(), SampledAnswers.ExpectedBest(scores, k), 1e-12);
        }
    }

    [Theory]
    [InlineData("It was Anna Bell, of course.", "anna bell", true)]
    [InlineData("Bell, Anna", "Anna Bell", false)]
    [InlineData("", "Anna", false)]
    [InlineData("Annabel", "Anna", false)]
    public void Contains_LooksForTheWordsInOnePiece(string text, string part, bool expected) =>
        Assert.Equal(expected, SampledAnswers.Contains(text, part));
}
