using System.Globalization;
using Falcon.Evaluation.Metrics;

namespace Falcon.Attacks.Protocol;

/// <summary>
/// The usual attacker: tries every strength on the development questions, keeps the best (the first of equals), and is scored on the test
/// questions with that one alone.
/// </summary>
internal static class StrengthChoice
{
    private const int QuickQuestions = 24;

    /// <summary>Tunes and scores.</summary>
    /// <param name="strengths">What is tried, each with its name; at least one.</param>
    /// <param name="score">Scores of questions under a strength, one an item.</param>
    /// <param name="data">The two halves.</param>
    /// <param name="budget">A quick attacker tunes on some of the development questions.</param>
    public static AttackScores Best<T>(
        IReadOnlyList<(string Name, T Strength)> strengths,
        Func<T, IReadOnlyList<AttackItem>, IReadOnlyList<double>> score,
        AttackData data,
        AttackBudget budget
    )
    {
        var development = QuestionMetrics.EvenlySpaced(data.Development, budget == AttackBudget.Quick ? QuickQuestions : 0);
        List<double> tried = [.. strengths.Select(one => strengths.Count == 1 ? 0 : score(one.Strength, development).Average())];
        var best = tried.IndexOf(tried.Max());
        var extras =
            strengths.Count == 1
                ? new Dictionary<string, double>()
                : strengths.Zip(tried).ToDictionary(one => "development: " + one.First.Name, one => one.Second);
        return new AttackScores(score(strengths[best].Strength, data.Test), strengths[best].Name)
        {
            Samples = strengths.Count == 1 ? 0 : strengths.Count * development.Count,
            Extras = extras,
        };
    }

    /// <summary>A number in a strength's name.</summary>
    public static string Text(double value) => value.ToString("0.###", CultureInfo.InvariantCulture);
}
