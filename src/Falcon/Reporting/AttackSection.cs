using System.Globalization;
using System.Net;
using System.Text;
using Falcon.Results;

namespace Falcon.Reporting;

/// <summary>The part of a report page that says whether attacks bring the knowledge back.</summary>
public static class AttackSection
{
    private static readonly CultureInfo Invariant = CultureInfo.InvariantCulture;

    /// <summary>
    /// A sentence that counts the verdicts, and one row for each attack. Times are left out, so the same models give the same text.
    /// </summary>
    public static string Render(AttackResult result)
    {
        var hasControl = result.Unattacked.Control is not null;
        var text = new StringBuilder("<h2>Can it be brought back?</h2>\n");
        text.Append(
            Invariant,
            $"<p>{WebUtility.HtmlEncode(Sentence(result))} {result.Questions.Test} questions are scored; the attacker tunes and trains on "
                + $"{result.Questions.Development} others that share no fact with them."
        );
        text.Append(
            hasControl
                ? " “Recovered” is what the attack gets beyond the never-taught model, as a share of what the original has beyond it."
                : " “Recovered” is what the attack gets beyond plain questions, as a share of what the original has beyond them; without "
                    + "a never-taught model a hint in the attack cannot be told from a memory."
        );
        text.Append("</p>\n<div class=\"card\"><table>\n<thead><tr><th scope=\"col\">Attack</th><th scope=\"col\">Unlearned</th>");
        if (hasControl) text.Append("<th scope=\"col\">Never taught</th>");
        text.Append("<th scope=\"col\">Original</th><th scope=\"col\">Recovered</th><th scope=\"col\">Verdict</th></tr></thead>\n");
        text.Append(
            Invariant,
            $"<tbody><tr><th scope=\"row\">no attack</th>{Cells(result.Unattacked, hasControl)}<td></td><td></td></tr></tbody>\n"
        );
        foreach (var tier in result.Attacks.GroupBy(row => row.Tier))
        {
            text.Append(
                Invariant,
                $"<tbody><tr class=\"group\"><th scope=\"rowgroup\" "
                    + $"colspan=\"{(hasControl ? 6 : 5)}\">{WebUtility.HtmlEncode(AttackTable.TierText(tier.Key))}</th></tr>\n"
            );
            foreach (var row in tier)
                text.Append(
                    Invariant,
                    $"<tr><th scope=\"row\">{WebUtility.HtmlEncode(row.Name)}<small class=\"note\">{WebUtility.HtmlEncode(row.Definition)}"
                        + $"</small></th>{Cells(new AttackedModels(row.Unlearned, row.Original, row.Control), hasControl)}"
                        + $"{Outcome(row.BeyondControl ?? row.RecoveredShare, row.Verdict)}</tr>\n"
                );
            foreach (var together in result.Tiers.Where(one => one.Tier == tier.Key && one.Attacks.Count > 1))
                text.Append(Together(together, hasControl));
            text.Append("</tbody>\n");
        }

        foreach (var together in result.Tiers.Where(one => one.Tier is null && one.Attacks.Count > 1))
            text.Append(Invariant, $"<tbody>{Together(together, hasControl)}</tbody>\n");
        text.Append("</table></div>\n");
        if (WhatToDo(result) is { } advice) text.Append(Invariant, $"<p>{WebUtility.HtmlEncode(advice)}</p>\n");
        return text.ToString();
    }

    private static string Together(AttackTierRow row, bool hasControl) =>
        string.Create(
            Invariant,
            $"<tr class=\"sum\"><th scope=\"row\">{WebUtility.HtmlEncode(AttackTable.TierText(row))}<small class=\"note\">Taken together, "
                + $"mean of the right answers: {WebUtility.HtmlEncode(string.Join(", ", row.Attacks))}.</small></th>"
                + $"{Cells(row.Attacked, hasControl)}{Outcome(row.BeyondControl ?? row.RecoveredShare, row.Verdict)}</tr>\n"
        );

    private static string Cells(AttackedModels models, bool hasControl) =>
        Cell(models.Unlearned) + (hasControl ? Cell(models.Control) : "") + Cell(models.Original);

    private static string Outcome(RecoveredShare share, AttackVerdict verdict) =>
        $"{Cell(share)}<td>{WebUtility.HtmlEncode(AttackTable.VerdictText(verdict))}</td>";

    /// <summary>Advice where attacks bring knowledge back or the model still has it; null where neither is so.</summary>
    public static string? WhatToDo(AttackResult result) =>
        CameBack(result)
            ? "What an attack brings back was hidden, not removed. If the model is small enough to train, unlearn --preset falcon-rebuild "
                + "mixes the layers with noise and retrains them on the retain set; with less at stake, a lower --layer and "
                + "data.forgetTokens=all leave less behind. If that is how the model was made, --preset falcon-anew starts everything, "
                + "the embedding too, from pure noise. Attack the new model the same way."
        : result.Attacks.Any(row => row.Verdict == AttackVerdict.KnownAnyway)
            ? "Plain questions get more out of this model than out of one that was never taught: too little was forgotten for an attack "
                + "to show what is hidden. More steps, a lower --layer or more layers.trained forget more."
            : null;

    /// <summary>How many attacks got knowledge back, in one sentence.</summary>
    public static string Sentence(AttackResult result)
    {
        int Count(AttackVerdict verdict) => result.Attacks.Count(row => row.Verdict == verdict);
        int unsure = Count(AttackVerdict.CannotTell),
            known = Count(AttackVerdict.KnownAnyway);
        var alsoKnown = known > 0 ? $", {known} get no more than plain questions, which the model still answers" : "";
        var alsoUnsure = unsure > 0 ? $", and for {unsure} the data do not tell" : "";
        return string.Create(
            Invariant,
            $"{Count(AttackVerdict.Recovers)} of {result.Attacks.Count} attacks bring knowledge back, "
                + $"{Count(AttackVerdict.DoesNotRecover)} do not{alsoKnown}{alsoUnsure}.{TiersThatRecover(result)}"
        );
    }

    // Many attacks that each recover a little show together before any of them shows alone.
    private static string TiersThatRecover(AttackResult result)
    {
        List<AttackTierRow> tiers =
        [
            .. result.Tiers.Where(row =>
                row.Verdict == AttackVerdict.Recovers
                && row.Attacks.Count > 1
                && !result.Attacks.Any(attack => attack.Verdict == AttackVerdict.Recovers && row.Attacks.Contains(attack.Name))
            ),
        ];
        return tiers.Count == 0 ? "" : $" Taken together, these do: {string.Join("; ", tiers.Select(AttackTable.TierText))}.";
    }

    /// <summary>The verdict after attacks: where they bring knowledge back, a success becomes partial and the sentence says so.</summary>
    public static Verdict Weaken(Verdict verdict, AttackResult? attacks) =>
        attacks is null || !CameBack(attacks)
            ? verdict
            : new Verdict(
                verdict.Kind == VerdictKind.Success ? VerdictKind.Partial : verdict.Kind,
                $"{verdict.Sentence} But it can be brought back: {Sentence(attacks)}"
            );

    private static bool CameBack(AttackResult result) =>
        result.Attacks.Any(row => row.Verdict == AttackVerdict.Recovers) || result.Tiers.Any(row => row.Verdict == AttackVerdict.Recovers);

    private static string Cell(MetricValue? value) =>
        value is null ? "<td></td>" : string.Create(Invariant, $"<td><b>{Percent(value.Value)}</b>{Interval(value.Low, value.High)}</td>");

    private static string Cell(RecoveredShare share) =>
        share.Value is { } value
            ? string.Create(Invariant, $"<td><b>{Percent(value)}</b>{Interval(share.Low, share.High)}</td>")
            : "<td>no gap</td>";

    private static string Interval(double? low, double? high) =>
        low is { } from && high is { } to ? string.Create(Invariant, $"<small>{Percent(from)} to {Percent(to)}</small>") : "";

    private static string Percent(double share) => string.Create(Invariant, $"{share * 100:0.0}\u00a0%");
}
