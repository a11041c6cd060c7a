namespace Falcon.Results;

/// <summary>What the monitor measured of a set of parameters; one line of <c>monitor.jsonl</c>.</summary>
/// <param name="Step">Finished steps; 0 is the original model.</param>
/// <param name="Share">Position between the original parameters (0) and those after the step (1).</param>
/// <param name="AnswerLoss">Median over the forget questions of the mean loss of an answer's tokens, in nats.</param>
/// <param name="Distance">
/// How far the model is from one that never learned, 0 or more: with truth ratios and a reference the Kolmogorov-Smirnov distance between
/// the two models' ratios; otherwise |median answer loss / its target - 1|.
/// </param>
/// <param name="ForgetQuality">The p-value that belongs to that distance; null without truth ratios and reference.</param>
/// <param name="Utility">
/// Harmonic mean over the utility files of the mean answer probability (among the options where there are wrong answers).
/// </param>
/// <param name="UtilityLoss">1 - utility / utility of the original model.</param>
public sealed record Measurement(
    int Step,
    double Share,
    double AnswerLoss,
    double Distance,
    double? ForgetQuality,
    double Utility,
    double UtilityLoss
)
{
    /// <summary>Whether the utility loss is within a budget; always without one.</summary>
    public bool IsWithin(double? budget) => budget is null || UtilityLoss <= budget;

    /// <summary>
    /// The rule by which parameters are kept. Parameters within the budget come first, then the smaller distance counts; outside the budget
    /// the smaller loss of utility. Of equals the earlier one stays.
    /// </summary>
    /// <param name="other">What is kept so far; null for nothing.</param>
    /// <param name="budget">Largest utility loss; null for no limit.</param>
    public bool IsBetterThan(Measurement? other, double? budget)
    {
        if (other is null) return true;
        if (IsWithin(budget) != other.IsWithin(budget)) return IsWithin(budget);
        return IsWithin(budget) ? Distance < other.Distance : UtilityLoss < other.UtilityLoss;
    }
}

/// <summary>Which parameters a run kept, and why it ended; part of <c>run.json</c>.</summary>
/// <param name="Reason">Why the run ended, in words.</param>
/// <param name="Steps">Steps that were made.</param>
/// <param name="TargetLoss">The answer loss of a model that never learned, as estimated.</param>
/// <param name="Start">The original model.</param>
/// <param name="Kept">What was kept.</param>
public sealed record MonitorRecord(string Reason, int Steps, double TargetLoss, Measurement Start, Measurement Kept);
