namespace Falcon.Evaluation.Metrics;

/// <summary>
/// Loss and probability of an answer from the log-probabilities of its tokens (TOFU, section 2.2.1 of the paper; OpenUnlearning).
/// </summary>
public static class AnswerProbability
{
    /// <summary>avg_loss = - sum log p / |P|, over all labelled tokens, the end-of-sequence token included.</summary>
    /// <param name="logProbabilities">Natural log-probability of each answer token.</param>
    /// <exception cref="ArgumentException">No token.</exception>
    public static double Loss(ReadOnlySpan<double> logProbabilities)
    {
        if (logProbabilities.IsEmpty) throw new ArgumentException("an answer without tokens has no loss", nameof(logProbabilities));
        var sum = 0.0;
        foreach (var logProbability in logProbabilities) sum += logProbability;
        return -sum / logProbabilities.Length;
    }

    /// <summary>exp(-avg_loss): the geometric mean of the token probabilities, in (0, 1].</summary>
    public static double FromLoss(double loss) => Math.Exp(-loss);

    /// <summary>p_true / (p_true + sum p_wrong), every p = exp(-avg_loss) of its own answer (TOFU: real authors, world facts).</summary>
    /// <param name="correctLoss">avg_loss of the correct answer.</param>
    /// <param name="wrongLosses">avg_loss of each wrong answer.</param>
    /// <param name="epsilon">Added to the denominator: 0 for TOFU, 1e-10 for OpenUnlearning.</param>
    public static double AmongOptions(double correctLoss, ReadOnlySpan<double> wrongLosses, double epsilon = 0)
    {
        var correct = FromLoss(correctLoss);
        var all = correct + epsilon;
        foreach (var loss in wrongLosses) all += FromLoss(loss);
        return correct / all;
    }
}
