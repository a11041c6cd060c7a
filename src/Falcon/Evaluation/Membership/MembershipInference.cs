using System.Text;
using Falcon.Compression;
using Falcon.Evaluation.Metrics;

namespace Falcon.Evaluation.Membership;

/// <summary>
/// Scores by which an attacker tells texts a model was trained on, and how well they tell (OpenUnlearning). Every score rises with
/// surprise: low means "seen in training". The loss keeps the end-of-sequence token; min-k and min-k++ get the tokens without it.
/// </summary>
public static class MembershipInference
{
    /// <summary>The share of tokens that min-k looks at when nothing else is asked for.</summary>
    public const double DefaultShare = 0.4;

    private const double Guard = 1e-10;
    private const double SmallestVariance = 1e-6;

    /// <summary>
    /// Loss per token over the number of bytes of the zlib-compressed text (UTF-8, level 6, header and checksum included; Carlini et al.
    /// 2021).
    /// </summary>
    public static double ZlibRatio(double loss, string text) => loss / ZlibLength.Of(Encoding.UTF8.GetBytes(text));

    /// <summary>
    /// Min-k: minus the mean of the max(1, floor(share·n)) smallest log-probabilities (Shi et al. 2024); 0 without tokens.
    /// </summary>
    public static double MinK(ReadOnlySpan<double> logProbabilities, double share = DefaultShare) =>
        MinusMeanOfSmallest(logProbabilities.ToArray(), Math.Max(1, (int)(share * logProbabilities.Length))) ?? 0;

    /// <summary>
    /// Min-k++: as min-k, of (log p - mu) / sqrt(max(var, 1e-6)), mu and var under the model's own distribution (Zhang et al. 2025); 0
    /// without tokens.
    /// </summary>
    public static double MinKPlusPlus(ReadOnlySpan<TokenStatistics> tokens, double share = DefaultShare)
    {
        var scores = new double[tokens.Length];
        for (var t = 0; t < scores.Length; t++)
            scores[t] = (tokens[t].LogProbability - tokens[t].Mean) / Math.Sqrt(Math.Max(tokens[t].Variance, SmallestVariance));
        return MinusMeanOfSmallest(scores, Math.Max(1, (int)(share * scores.Length))) ?? 0;
    }

    /// <summary>
    /// AUC = P(holdout score > forget score) + half of the ties: 1 where the forget set is clearly known, 0.5 where it looks unseen.
    /// </summary>
    /// <exception cref="ArgumentException">A set is empty or holds a NaN.</exception>
    public static double Auc(ReadOnlySpan<double> forgetScores, ReadOnlySpan<double> holdoutScores) =>
        ProbabilityOfGreater(holdoutScores, forgetScores);

    /// <summary>
    /// privleak = (a - b) / (b + 1e-10) · 100 with a = 1 - AUC, b = 1 - AUC of the retained model; above 0 over-unlearned, below 0
    /// under-unlearned.
    /// </summary>
    /// <param name="auc">AUC of the unlearned model.</param>
    /// <param name="retainAuc">AUC of the model trained without the forget set; 0.5 where there is none.</param>
    public static double PrivacyLeakage(double auc, double retainAuc = 0.5) => RelativeDifference(1 - auc, 1 - retainAuc);

    /// <summary>rel_diff = (AUC - AUC of the retained model) / (AUC of the retained model + 1e-10) · 100.</summary>
    /// <param name="auc">AUC of the unlearned model.</param>
    /// <param name="retainAuc">AUC of the model trained without the forget set; 0.5 where there is none.</param>
    public static double RelativeDifference(double auc, double retainAuc = 0.5) => (auc - retainAuc) / (retainAuc + Guard) * 100;

    internal static double? MinusMeanOfSmallest(double[] values, int count)
    {
        count = Math.Min(count, values.Length);
        if (count == 0) return null;
        Array.Sort(values);
        var sum = 0.0;
        for (var i = 0; i < count; i++) sum += values[i];
        return -sum / count;
    }

    /// <summary>P(a value of <paramref name="upper"/> exceeds one of <paramref name="lower"/>) plus half of the ties.</summary>
    internal static double ProbabilityOfGreater(ReadOnlySpan<double> upper, ReadOnlySpan<double> lower)
    {
        if (upper.IsEmpty || lower.IsEmpty) throw new ArgumentException("an AUC needs examples of both sets");
        var sorted = lower.ToArray();
        if (sorted.Any(double.IsNaN)) throw new ArgumentException("a score is NaN");
        Array.Sort(sorted);
        var halves = 0L; // two for each pair in order, one for each tie
        foreach (var value in upper)
        {
            if (double.IsNaN(value)) throw new ArgumentException("a score is NaN");
            halves += FirstAtLeast(sorted, value) + FirstAbove(sorted, value);
        }
        return halves / (2.0 * upper.Length * lower.Length);
    }

    private static int FirstAtLeast(double[] sorted, double value) => Partition(sorted, one => one < value);

    private static int FirstAbove(double[] sorted, double value) => Partition(sorted, one => one <= value);

    private static int Partition(double[] sorted, Func<double, bool> isBefore)
    {
        int low = 0, high = sorted.Length;
        while (low < high)
        {
            var middle = (low + high) / 2;
            if (isBefore(sorted[middle])) low = middle + 1;
            else high = middle;
        }
        return low;
    }
}
