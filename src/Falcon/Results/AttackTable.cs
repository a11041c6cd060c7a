using System.Globalization;
using System.Text;

namespace Falcon.Results;

/// <summary>An attack result as Markdown, <c>attacks.md</c>, and the words and numbers of its cells.</summary>
public static class AttackTable
{
    /// <summary>One row for each attack, grouped by tier, then one for each tier; shares in percent with their 95 % intervals.</summary>
    public static string Markdown(AttackResult result)
    {
        var page = new StringBuilder("# Recovery attacks\n\n");
        page.Append(
            CultureInfo.InvariantCulture,
            $"{result.Questions.Test} questions are scored; the attacker tunes and trains on {result.Questions.Development} others that "
                + $"share no fact with them (budget {result.Budget.ToString().ToLowerInvariant()}, seed {result.Seed}). Right answers in "
                + $"percent, with 95 % intervals. "
        );
        page.Append(
            "Recovered share = (attacked - unlearned) / (original attacked - unlearned); beyond control = (attacked - control attacked) / "
                + "(original attacked - control attacked).\n\n"
        );
        page.Append(
            "| tier | attack | unlearned | original | never taught | random | recovered share | beyond control | verdict | seconds "
                + "|\n|---|---|---|---|---|---|---|---|---|---|\n"
        );
        page.Append(
            CultureInfo.InvariantCulture,
            $"| – | no attack | {Cell(result.Unattacked.Unlearned)} | {Cell(result.Unattacked.Original)} | "
                + $"{Cell(result.Unattacked.Control)} | – | – | – | – | – |\n"
        );
        foreach (var row in result.Attacks)
            page.Append(
                CultureInfo.InvariantCulture,
                $"| {TierText(row.Tier)} | {row.Name} | {Cell(row.Unlearned)} | {Cell(row.Original)} | {Cell(row.Control)} | "
                    + $"{Cell(row.Random)} | {Cell(row.RecoveredShare)} | {Cell(row.BeyondControl)} | {VerdictText(row.Verdict)} | "
                    + $"{row.Budget.Seconds:0.0} |\n"
            );
        foreach (var row in result.Attacks.Where(row => row.FasterThanControl is not null))
            page.Append(
                CultureInfo.InvariantCulture,
                $"\n{row.Name}: averaged over the training the unlearned model gains {Cell(row.FasterThanControl)} points more than the "
                    + $"never-taught control.\n"
            );
        AppendTiers(page, result);
        page.Append("\n## What was done\n\n");
        foreach (var row in result.Attacks)
            page.Append(
                CultureInfo.InvariantCulture,
                $"- **{row.Name}**: {row.Definition} Kept for the unlearned model: {row.Settings["unlearned"]}.\n"
            );
        return page.ToString();
    }

    /// <summary>A tier in words, with the number of its attacks in brackets.</summary>
    public static string TierText(AttackTierRow row) =>
        string.Create(CultureInfo.InvariantCulture, $"{TierText(row.Tier)} ({row.Attacks.Count})");

    private static void AppendTiers(StringBuilder page, AttackResult result)
    {
        if (result.Tiers.Count == 0) return;
        page.Append(
            "\n## Tier by tier\n\nThe attacks of a tier that are judged as plain questions are, taken together: the mean of their right "
                + "answers, with the questions drawn together for all of them.\n\n"
        );
        page.Append(
            "| tier | unlearned | original | never taught | recovered share | beyond control | verdict | attacks "
                + "|\n|---|---|---|---|---|---|---|---|\n"
        );
        foreach (var row in result.Tiers)
            page.Append(
                CultureInfo.InvariantCulture,
                $"| {TierText(row.Tier)} | {Cell(row.Attacked.Unlearned)} | {Cell(row.Attacked.Original)} | {Cell(row.Attacked.Control)} "
                    + $"| {Cell(row.RecoveredShare)} | {Cell(row.BeyondControl)} | {VerdictText(row.Verdict)} | "
                    + $"{string.Join(", ", row.Attacks)} |\n"
            );
        foreach (var row in result.Tiers.Where(row => row.FasterThanControl is not null))
            page.Append(
                CultureInfo.InvariantCulture,
                $"\nAveraged over {(row.Attacks.Count == 1 ? "the training" : $"the {row.Attacks.Count} trainings")} the unlearned model "
                    + $"gains {Cell(row.FasterThanControl)} points more than the never-taught control.\n"
            );
    }

    /// <summary>A tier in words; null means all tiers below training.</summary>
    public static string TierText(AttackTier? tier) => tier switch
    {
        null => "all below training",
        AttackTier.BlackBox => "black box",
        AttackTier.InputOptimization => "input optimisation",
        _ => tier.Value.ToString().ToLowerInvariant(),
    };

    /// <summary>A verdict in words.</summary>
    public static string VerdictText(AttackVerdict verdict) => verdict switch
    {
        AttackVerdict.Recovers => "recovers",
        AttackVerdict.KnownAnyway => "known anyway",
        AttackVerdict.DoesNotRecover => "does not recover",
        _ => "cannot tell",
    };

    /// <summary>A share in percent with its interval; a dash where there is none.</summary>
    public static string Cell(MetricValue? value) => value is null ? "–" : Text(value.Value, value.Low, value.High);

    /// <summary>A recovered share in percent with its interval; <c>no gap</c> where it has no value.</summary>
    public static string Cell(RecoveredShare? share) =>
        share is null ? "–"
        : share.Value is { } value ? Text(value, share.Low, share.High)
        : "no gap";

    private static string Text(double value, double? low, double? high) => low is null || high is null
        ? string.Create(CultureInfo.InvariantCulture, $"{Percent(value):0.0}")
        : string.Create(CultureInfo.InvariantCulture, $"{Percent(value):0.0} ({Percent(low.Value):0.0} to {Percent(high.Value):0.0})");

    private static double Percent(double share) => Math.Round(share * 100, 1) + 0.0; // no negative zero
}
