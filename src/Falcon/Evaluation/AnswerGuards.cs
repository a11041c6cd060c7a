using System.Globalization;

namespace Falcon.Evaluation;

/// <summary>Warnings that numbers do not measure knowledge, because the model answers every question alike or not at all.</summary>
internal static class AnswerGuards
{
    private const int Least = 5;
    private const double ConstantShare = 0.9;
    private const double EmptyShare = 0.1;
    private const double SameLetterShare = 0.95;

    /// <summary>Warnings about generated answers: nine of ten the same, or more than one of ten empty.</summary>
    public static IEnumerable<string> OfTexts(string set, IReadOnlyCollection<string> answers)
    {
        if (answers.Count < Least) yield break;
        var empty = answers.Count(string.IsNullOrWhiteSpace);
        if (empty > EmptyShare * answers.Count)
            yield return string.Create(
                CultureInfo.InvariantCulture,
                $"{set}: {empty} of {answers.Count} answers are empty; the prompt template may not be the one the model was trained with, "
                    + $"or the model is broken"
            );
        var common = answers
            .Where(answer => !string.IsNullOrWhiteSpace(answer))
            .GroupBy(answer => answer)
            .OrderByDescending(group => group.Count())
            .FirstOrDefault();
        if (common is not null && common.Count() >= ConstantShare * answers.Count)
            yield return string.Create(
                CultureInfo.InvariantCulture,
                $"{set}: constant output, {common.Count()} of {answers.Count} answers are \"{Short(common.Key)}\"; the model no longer "
                    + $"tells questions apart"
            );
    }

    /// <summary>A warning where nearly all questions get the same letter.</summary>
    public static IEnumerable<string> OfLetters(string set, IReadOnlyCollection<int> predictions)
    {
        if (predictions.Count < 4 * Least) yield break;
        var common = predictions.GroupBy(prediction => prediction).MaxBy(group => group.Count())!;
        if (common.Count() >= SameLetterShare * predictions.Count)
            yield return string.Create(
                CultureInfo.InvariantCulture,
                $"{set}: constant output, {common.Count()} of {predictions.Count} questions get the letter {(char)('A' + common.Key)}; "
                    + $"accuracy by letter is then the share of that letter, whatever the model knows"
            );
    }

    private static string Short(string text) => text.Length <= 40 ? text : text[..40] + "...";
}
