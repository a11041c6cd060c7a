using Falcon.Evaluation;
using Falcon.Evaluation.Metrics;
using Falcon.Results;
using static TorchSharp.torch;

namespace Falcon.Attacks.Protocol;

/// <summary>
/// The attacker who changes the model. A strength that costs too much utility (<see cref="AttackScoring.UtilityFloor"/>) is dropped; of the
/// others the best on the development questions (the first of equals) scores the test questions.
/// </summary>
public static class StrengthWithinUtility
{
    private const int QuickDevelopment = 32, QuickUtility = 40;

    /// <summary>Chooses a strength and scores the test questions with it.</summary>
    /// <param name="strengths">
    /// The strengths, each with its name and a function that makes the changed model or pass. The function is called inside a dispose scope
    /// that ends when the strength has been scored.
    /// </param>
    /// <param name="loaded">The model under attack.</param>
    /// <param name="data">Development, test and utility questions; without utility questions no strength is dropped.</param>
    /// <param name="settings">With <see cref="AttackBudget.Quick"/> only some of the questions are used for tuning.</param>
    /// <returns>
    /// The scores of the chosen strength, or of the unchanged model where every strength costs too much; <see cref="AttackScores.Extras"/>
    /// has the utility and the mean development score of each.
    /// </returns>
    public static AttackScores Best(
        IReadOnlyList<(string Name, Func<ScoringPass> Make)> strengths,
        LoadedModel loaded,
        AttackData data,
        AttackSettings settings
    )
    {
        var quick = settings.Budget == AttackBudget.Quick;
        data = data with
        {
            Development = QuestionMetrics.EvenlySpaced(data.Development, quick ? QuickDevelopment : 0),
            Utility = QuestionMetrics.EvenlySpaced(data.Utility, quick ? QuickUtility : 0),
        };
        var scoring = new AttackScoring(loaded, data, settings);
        var before = scoring.Utility();
        Dictionary<string, double> extras = [];
        (int Index, double Score) best = (-1, double.NegativeInfinity);
        for (var i = 0; i < strengths.Count; i++)
        {
            using var scope = NewDisposeScope();
            var (name, make) = strengths[i];
            var pass = make();
            if (before is { } level)
            {
                var utility = scoring.Utility(pass)!.Value;
                extras["utility: " + name] = utility;
                if (utility < AttackScoring.UtilityFloor * level) continue;
            }

            var score = scoring.RightFirst(data.Development, pass).Average();
            extras["development: " + name] = score;
            if (score > best.Score) best = (i, score);
        }

        var samples = strengths.Count * (data.Development.Count + data.Utility.Count);
        if (best.Index < 0)
            return new AttackScores(scoring.RightFirst(data.Test), "unchanged: no strength keeps the utility")
            {
                Samples = samples,
                Extras = extras,
            };
        using var final = NewDisposeScope();
        return new AttackScores(scoring.RightFirst(data.Test, strengths[best.Index].Make()), strengths[best.Index].Name)
        {
            Samples = samples,
            Extras = extras,
        };
    }
}
