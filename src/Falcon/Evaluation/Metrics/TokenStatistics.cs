namespace Falcon.Evaluation.Metrics;

/// <summary>What the exact metrics need of one next-token distribution p and the true next token.</summary>
/// <param name="LogProbability">log p(token), natural logarithm.</param>
/// <param name="Mean">mu = sum p log p: the mean of log p under p.</param>
/// <param name="Variance">sum p (log p)^2 - mu^2: the variance of log p under p.</param>
/// <param name="Prediction">The most likely token; the first of equals.</param>
/// <param name="Label">The true next token.</param>
public readonly record struct TokenStatistics(double LogProbability, double Mean, double Variance, int Prediction, int Label)
{
    /// <summary>The label that marks a position as not scored.</summary>
    public const int IgnoreIndex = -100;

    /// <summary>Whether the most likely token is the true one.</summary>
    public bool IsHit => Prediction == Label;

    /// <summary>Statistics of one position from its logits, in double precision.</summary>
    /// <param name="logits">One logit for each vocabulary entry.</param>
    /// <param name="label">Index of the true token.</param>
    /// <exception cref="ArgumentOutOfRangeException">The label is outside the vocabulary.</exception>
    public static TokenStatistics FromLogits(ReadOnlySpan<double> logits, int label)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(label);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(label, logits.Length);
        var best = 0;
        for (var token = 1; token < logits.Length; token++)
            if (logits[token] > logits[best]) best = token;

        var partition = 0.0;
        foreach (var logit in logits) partition += Math.Exp(logit - logits[best]);
        var logPartition = logits[best] + Math.Log(partition);
        double mean = 0, square = 0;
        foreach (var logit in logits)
        {
            var logProbability = logit - logPartition;
            var probability = Math.Exp(logProbability);
            if (probability == 0) continue; // p log p tends to 0, also for a logit of minus infinity
            mean += probability * logProbability;
            square += probability * logProbability * logProbability;
        }
        return new TokenStatistics(logits[label] - logPartition, mean, square - (mean * mean), best, label);
    }

    /// <summary>Statistics of every labelled position of a sequence, in order: <c>logits[t]</c> scores <c>labels[t + 1]</c>.</summary>
    /// <param name="logits">[T][V].</param>
    /// <param name="labels">[T]; <see cref="IgnoreIndex"/> where nothing is scored.</param>
    /// <exception cref="ArgumentException">Lengths differ, or position 0 carries a label: nothing predicts it.</exception>
    public static TokenStatistics[] OfLabels(IReadOnlyList<double[]> logits, IReadOnlyList<int> labels)
    {
        if (logits.Count != labels.Count)
            throw new ArgumentException($"{logits.Count} rows of logits for {labels.Count} labels", nameof(labels));
        if (labels.Count > 0 && labels[0] != IgnoreIndex)
            throw new ArgumentException("position 0 is predicted by nothing and must not be labelled", nameof(labels));
        return
        [
            .. Enumerable
                .Range(1, Math.Max(0, labels.Count - 1))
                .Where(t => labels[t] != IgnoreIndex)
                .Select(t => FromLogits(logits[t - 1], labels[t])),
        ];
    }
}
