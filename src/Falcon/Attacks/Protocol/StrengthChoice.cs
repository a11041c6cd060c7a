using System.Globalization;
using Falcon.Evaluation.Metrics;
using Falcon.Results;

namespace Falcon.Attacks.Protocol;

/// <summary>
/// The usual attacker: tries every strength on the development questions, keeps the best (the first of equals), and scores the test
/// questions with that one alone.
/// </summary>
public static class StrengthChoice
{
    private const int QuickQuestions = 24;

    /// <summary>Chooses a strength and scores the test questions with it.</summary>
    /// <param name="strengths">The strengths with their names; at least one.</param>
    /// <param name="score">Gives the scores of questions under a strength, one for each.</param>
    /// <param name="data">Development and test questions.</param>
    /// <param name="budget">With <see cref="AttackBudget.Quick"/> only some of the development questions are used.</param>
    /// <returns>The scores of the chosen strength; <see cref="AttackScores.Extras"/> has the mean development score of each.</returns>
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

    /// <summary>A number as it stands in the name of a strength: up to three decimals, invariant notation.</summary>
    public static string Text(double value) => value.ToString("0.###", CultureInfo.InvariantCulture);
}
