namespace Falcon.Evaluation.Facts;

/// <summary>What one question gave.</summary>
/// <param name="Sums">Summed log-probability of each whole answer.</param>
/// <param name="Means">Mean log-probability of the tokens of each whole answer.</param>
/// <param name="BareSums">The same sums of the bare answers; empty without any.</param>
/// <param name="BareMeans">The same means of the bare answers; empty without any.</param>
/// <param name="Right">Index of the right answer.</param>
/// <param name="Generated">Whether the generated text holds an accepted answer; null where the row accepts none.</param>
internal sealed record FactScore(double[] Sums, double[] Means, double[] BareSums, double[] BareMeans, int Right, bool? Generated)
{
    /// <summary>Probability of the right whole answer.</summary>
    public double Probability => Math.Exp(Sums[Right]);

    /// <summary>1 where the right answer has the highest score, else 0; of equal scores the first answer counts as chosen.</summary>
    public double Chosen(double[] scores) => Array.IndexOf(scores, scores.Max()) == Right ? 1 : 0;

    /// <summary>From the token scores of the whole answers and of the bare ones after them.</summary>
    public static FactScore Of(FactQuestion question, TokenScores[] scores, bool? generated)
    {
        double[] sums = [.. scores.Select(score => score.LogProbabilities.Sum())],
            means = [.. scores.Select(score => score.LogProbabilities.Average())];
        var whole = question.Options.Count;
        return new FactScore(sums[..whole], means[..whole], sums[whole..], means[whole..], question.Right, generated);
    }
}
