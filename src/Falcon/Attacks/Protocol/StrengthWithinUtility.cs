using Falcon.Evaluation;
using Falcon.Evaluation.Metrics;
using static TorchSharp.torch;

namespace Falcon.Attacks.Protocol;

/// <summary>
/// The attacker who changes the model: a strength that takes too much of what the model shall keep
/// (<see cref="AttackScoring.UtilityFloor"/>) is no recovery and is dropped; of the others the best on the development questions (the first
/// of equals) is scored on the test questions.
/// </summary>
internal static class StrengthWithinUtility
{
    private const int QuickDevelopment = 32, QuickUtility = 40;

    /// <summary>Tunes and scores.</summary>
    /// <param name="strengths">
    /// What is tried, each with its name and a way to make the changed model; its tensors live while it is scored.
    /// </param>
    /// <param name="loaded">The model under attack.</param>
    /// <param name="data">The two halves and the utility questions.</param>
    /// <param name="settings">A quick attacker tunes on some of the questions.</param>
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
