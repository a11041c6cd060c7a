using System.Globalization;
using Falcon.Results;

namespace Falcon.Reporting;

/// <summary>How a run turned out.</summary>
public enum VerdictKind
{
    /// <summary>Forgotten and nothing else lost.</summary>
    Success,

    /// <summary>Forgotten with other losses, or nothing lost but not forgotten.</summary>
    Partial,

    /// <summary>Not forgotten, and other things lost.</summary>
    Failure,

    /// <summary>Forgetting was not measured.</summary>
    Unknown,
}

/// <summary>What a run achieved, in one sentence that follows from its scores by fixed rules.</summary>
/// <param name="Kind">How it turned out.</param>
/// <param name="Sentence">The sentence, in plain words.</param>
public sealed record Verdict(VerdictKind Kind, string Sentence)
{
    /// <summary>Largest fall of a share that counts as kept (two percentage points).</summary>
    public const double LargestLoss = 0.02;

    /// <summary>Largest relative change of another number, such as perplexity, that counts as kept (5 %).</summary>
    public const double LargestGrowth = 0.05;

    /// <summary>
    /// Forgotten: every forget share is at most the upper end of the never-taught control's interval (without a control: it fell by half or
    /// more). Kept: no retain or general share lost more than <see cref="LargestLoss"/>, no such number grew (or, where higher is better,
    /// shrank) by more than <see cref="LargestGrowth"/>.
    /// </summary>
    public static Verdict Of(IReadOnlyList<ScoreRow> scores)
    {
        var forget = scores.Where(s => s.Group == ScoreGroup.Forget).ToList();
        var kept = scores.Where(s => s.Group != ScoreGroup.Forget).ToList();
        if (forget.Count == 0)
            return new Verdict(
                VerdictKind.Unknown,
                "This run measured nothing that was to be forgotten; evaluate the model to see what is left."
            );

        var remembered = forget.Where(s => !IsForgotten(s)).ToList();
        var lost = kept.Where(s => !IsKept(s)).ToList();
        var shown = remembered.FirstOrDefault() ?? forget[0];
        var change =
            $"“{shown.Name}” went from {MetricText.Value(shown.Before.Value, shown.Unit)} to "
                + $"{MetricText.Value(shown.After.Value, shown.Unit)}"
            + (shown.Control is null ? "" : $" (a model that was never taught it: {MetricText.Value(shown.Control.Value, shown.Unit)})")
            + (
                forget.Count == 1
                    ? ""
                    : string.Create(
                        CultureInfo.InvariantCulture,
                        $"; {forget.Count - remembered.Count} of {forget.Count} parts to forget are gone"
                    )
            );
        var rest =
            kept.Count == 0 ? "What it was to keep was not measured."
            : lost.Count == 0 ? "What it was to keep is still there."
            : $"But it also lost some of “{lost[0].Name}”: {MetricText.Value(lost[0].Before.Value, lost[0].Unit)} before, "
                + $"{MetricText.Value(lost[0].After.Value, lost[0].Unit)} after.";
        return (remembered.Count, lost.Count) switch
        {
            (0, 0) when kept.Count > 0 => new Verdict(VerdictKind.Success, $"The model has forgotten: {change}. {rest}"),
            (0, _) => new Verdict(VerdictKind.Partial, $"The model has forgotten: {change}. {rest}"),
            (_, 0) => new Verdict(VerdictKind.Partial, $"The model still remembers: {change}. {rest}"),
            _ => new Verdict(VerdictKind.Failure, $"The model still remembers: {change}. {rest}"),
        };
    }

    private static bool IsForgotten(ScoreRow row) =>
        row.Control is { } control ? row.After.Value <= (control.High ?? control.Value) : row.After.Value <= row.Before.Value / 2;

    private static bool IsKept(ScoreRow row) => (row.Unit, row.After.Direction) switch
    {
        ("percent", _) => row.After.Value >= row.Before.Value - LargestLoss,
        (_, "lower") => row.After.Value <= row.Before.Value * (1 + LargestGrowth),
        _ => row.After.Value >= row.Before.Value * (1 - LargestGrowth),
    };
}
