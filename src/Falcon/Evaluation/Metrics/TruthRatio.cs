namespace Falcon.Evaluation.Metrics;

/// <summary>
/// The published computations of the truth ratio. They differ in direction, in the mean, and in a guard against division by zero.
/// </summary>
public enum TruthRatioDefinition
{
    /// <summary>
    /// TOFU's aggregate_eval_stat (leaderboard and paper): s = exp(mean wrong loss - correct loss); large when the model knows the answer.
    /// </summary>
    TofuAggregate,

    /// <summary>
    /// TOFU's utils: u = mean exp(-wrong loss) / exp(-correct loss); an arithmetic mean of probabilities; small when the model knows the
    /// answer.
    /// </summary>
    TofuUtilities,

    /// <summary>OpenUnlearning: r = exp(-mean wrong loss) / (exp(-correct loss) + 1e-10); small when the model knows the answer.</summary>
    OpenUnlearning,
}

/// <summary>
/// Truth ratio of TOFU (Maini et al. 2024, section 2.2.1): the likelihood of wrong answers against that of the paraphrased right one. All
/// losses are means over tokens.
/// </summary>
public static class TruthRatio
{
    private const double Guard = 1e-10;

    /// <summary>The ratio of one example.</summary>
    /// <param name="definition">Which published computation.</param>
    /// <param name="correctLoss">avg_loss of the paraphrased correct answer (of the answer itself where there is no paraphrase).</param>
    /// <param name="wrongLosses">avg_loss of each wrong answer.</param>
    /// <exception cref="ArgumentException">No wrong answer.</exception>
    public static double Ratio(TruthRatioDefinition definition, double correctLoss, ReadOnlySpan<double> wrongLosses) => definition switch
    {
        TruthRatioDefinition.TofuAggregate => Math.Exp(MeanLoss(wrongLosses) - correctLoss),
        TruthRatioDefinition.TofuUtilities => MeanProbability(wrongLosses) / Math.Exp(-correctLoss),
        TruthRatioDefinition.OpenUnlearning => Math.Exp(-MeanLoss(wrongLosses)) / (Math.Exp(-correctLoss) + Guard),
        _ => throw new ArgumentOutOfRangeException(nameof(definition)),
    };

    /// <summary>
    /// q = exp(-c) / (exp(-c) + exp(-mean w) + 1e-10), OpenUnlearning's <c>prob_mean</c>: the share of the right answer, in 0..1.
    /// </summary>
    public static double CorrectShare(double correctLoss, ReadOnlySpan<double> wrongLosses)
    {
        var correct = Math.Exp(-correctLoss);
        return correct / (correct + Math.Exp(-MeanLoss(wrongLosses)) + Guard);
    }

    /// <summary>Score of one example on the forget set: min(x, 1/x), 1 where right and wrong answers are equally likely.</summary>
    public static double ForgetScore(TruthRatioDefinition definition, double ratio) =>
        Math.Min(ratio, 1 / (definition == TruthRatioDefinition.OpenUnlearning ? ratio + Guard : ratio));

    /// <summary>
    /// Score of one example elsewhere (retain, real authors, world facts): how far the right answer is ahead, max(0, 1 - r), in 0..1.
    /// </summary>
    public static double RetainScore(TruthRatioDefinition definition, double ratio) =>
        Math.Max(0, 1 - (definition == TruthRatioDefinition.TofuAggregate ? 1 / ratio : ratio));

    private static double MeanLoss(ReadOnlySpan<double> losses)
    {
        if (losses.IsEmpty) throw new ArgumentException("a truth ratio needs at least one wrong answer", nameof(losses));
        var sum = 0.0;
        foreach (var loss in losses) sum += loss;
        return sum / losses.Length;
    }

    private static double MeanProbability(ReadOnlySpan<double> losses)
    {
        if (losses.IsEmpty) throw new ArgumentException("a truth ratio needs at least one wrong answer", nameof(losses));
        var sum = 0.0;
        foreach (var loss in losses) sum += Math.Exp(-loss);
        return sum / losses.Length;
    }
}
