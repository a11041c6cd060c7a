using System.Text;

namespace Falcon.Evaluation.Metrics;

/// <summary>
/// The choice that a model makes at one multiple-choice question, by log-likelihood, as the lm-evaluation-harness computes it.
/// </summary>
/// <param name="Prediction">Index of the largest log-likelihood; the first of equals.</param>
/// <param name="PredictionByCharacters">The same after division by the number of characters (code points) of the choice text.</param>
/// <param name="PredictionByBytes">The same after division by the number of UTF-8 bytes of the choice text.</param>
/// <param name="Gold">Index of the right choice.</param>
public readonly record struct MultipleChoiceScore(int Prediction, int PredictionByCharacters, int PredictionByBytes, int Gold)
{
    /// <summary>acc of this question: 1 or 0.</summary>
    public double Accuracy => Prediction == Gold ? 1 : 0;

    /// <summary>acc_norm of this question: 1 or 0.</summary>
    public double AccuracyByCharacters => PredictionByCharacters == Gold ? 1 : 0;

    /// <summary>acc_bytes of this question: 1 or 0.</summary>
    public double AccuracyByBytes => PredictionByBytes == Gold ? 1 : 0;

    /// <summary>Scores one question.</summary>
    /// <param name="choices">The choice texts alone, without the delimiter.</param>
    /// <param name="logLikelihoods">For each choice, the sum of the log-probabilities of its continuation's tokens.</param>
    /// <param name="gold">Index of the right choice.</param>
    /// <exception cref="ArgumentException">The counts differ, are zero, or <paramref name="gold"/> is outside.</exception>
    public static MultipleChoiceScore Of(IReadOnlyList<string> choices, IReadOnlyList<double> logLikelihoods, int gold)
    {
        if (choices.Count == 0 || choices.Count != logLikelihoods.Count)
            throw new ArgumentException($"{choices.Count} choices with {logLikelihoods.Count} log-likelihoods", nameof(choices));
        if (gold < 0 || gold >= choices.Count)
            throw new ArgumentOutOfRangeException(nameof(gold));
        return new MultipleChoiceScore(
            FirstLargest(logLikelihoods),
            FirstLargest([.. logLikelihoods.Zip(choices, (value, choice) => value / choice.EnumerateRunes().Count())]),
            FirstLargest([.. logLikelihoods.Zip(choices, (value, choice) => value / Encoding.UTF8.GetByteCount(choice))]),
            gold);
    }

    /// <summary>
    /// Value of a group of tasks (mmlu, its categories, wmdp): mean weighted by task size, thus the mean over all questions.
    /// </summary>
    /// <param name="tasks">Size and value of each task.</param>
    /// <exception cref="ArgumentException">No question at all.</exception>
    public static double GroupMean(IReadOnlyList<(int Size, double Value)> tasks)
    {
        var size = tasks.Sum(task => (long)task.Size);
        return size > 0
            ? tasks.Sum(task => task.Size * task.Value) / size
            : throw new ArgumentException("the group has no questions", nameof(tasks));
    }

    private static int FirstLargest(IReadOnlyList<double> values)
    {
        var best = 0;
        for (var i = 1; i < values.Count; i++)
            if (values[i] > values[best]) best = i;
        return best;
    }
}
