namespace Falcon.Runs.Configuration;

/// <summary>
/// What a run measures of itself while it trains, when it stops, and which parameters it keeps. The rule: among the measured parameters
/// whose utility loss is within the budget, those closest to a model that never learned the forget set. How close is told by a reference
/// model where there is one, else by the level of wrong answers.
/// </summary>
public sealed record MonitorConfig
{
    /// <summary>Steps between two measurements where a budget or a reference is given on the command line and nothing else.</summary>
    public const int DefaultEvery = 20;

    /// <summary>Steps between two measurements; 0 measures nothing while training.</summary>
    public int Every { get; init; }

    /// <summary>Largest loss of utility as a share of the original model's, such as 0.01 for 1 %; null sets no limit.</summary>
    public double? UtilityBudget { get; init; }

    /// <summary>Files of questions on which forgetting is measured; empty takes the forget files.</summary>
    public IReadOnlyList<string> Forget { get; init; } = [];

    /// <summary>Files on which utility is measured, each with one mean; empty takes the retain files.</summary>
    public IReadOnlyList<string> Utility { get; init; } = [];

    /// <summary>The directory of a model that never learned the forget set; null when there is none.</summary>
    public string? Reference { get; init; }

    /// <summary>Most questions of each file that are measured, evenly spaced; 0 takes all.</summary>
    public int Samples { get; init; } = 100;

    /// <summary>How many measurements in a row over the budget end the run; utility often dips early and recovers.</summary>
    public int Patience { get; init; } = 3;

    /// <summary>
    /// Whether to search the straight line from the original to the trained parameters, after the last step, for the point that the rule
    /// prefers: W = W_original + share (W_trained - W_original) with one share for all matrices.
    /// </summary>
    public bool SearchPath { get; init; }

    /// <summary>Whether anything is measured.</summary>
    internal bool IsOn => Every > 0 || SearchPath;

    internal IEnumerable<string> Faults()
    {
        if (Every < 0)
            yield return "monitor.every must not be negative";
        if (Samples < 0)
            yield return "monitor.samples must not be negative";
        if (Patience < 1)
            yield return "monitor.patience must be at least 1";
        if (UtilityBudget is { } budget && budget is not (>= 0 and < 1))
            yield return "monitor.utilityBudget (--utility-budget) must be at least 0 and below 1";
        if (!IsOn && (UtilityBudget is not null || Reference is not null))
            yield return "monitor.utilityBudget and monitor.reference need monitor.every (steps between measurements) or "
                + "monitor.searchPath";
    }
}
