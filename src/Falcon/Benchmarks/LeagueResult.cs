using System.Globalization;
using System.Text;

namespace Falcon.Benchmarks;

/// <summary>What a model scores on one split.</summary>
/// <param name="Forgetting">Higher is better. tofu: forget quality, the p-value against the retrained model; demo: 1 - multiple-choice accuracy over the forget domains.</param>
/// <param name="Answers">tofu: probability of the forgotten answers, demo: the accuracy; decides between runs that forget equally well, lower is better.</param>
/// <param name="Utility">tofu: model utility; demo: harmonic mean of the accuracies on what is kept and of the share of the start's perplexity.</param>
public sealed record LeagueScore(double Forgetting, double Answers, double Utility);

/// <summary>Lowest and highest value over the seeds.</summary>
/// <param name="Low">Lowest.</param>
/// <param name="High">Highest.</param>
public sealed record Spread(double Low, double High);

/// <summary>One method in the table; the values are means over the seeds on the test split, null where no trial kept the utility.</summary>
/// <param name="Method">Name.</param>
/// <param name="Preset">Preset that the trials started from.</param>
/// <param name="ForgetQuality"><see cref="LeagueScore.Forgetting"/>.</param>
/// <param name="ModelUtility"><see cref="LeagueScore.Utility"/>.</param>
/// <param name="UtilityRatio">Utility over that of the start.</param>
/// <param name="Answers"><see cref="LeagueScore.Answers"/>.</param>
/// <param name="Seconds">Mean wall-clock time of a run, without its scoring.</param>
/// <param name="ForgetQualitySpread">Over the seeds.</param>
/// <param name="UtilityRatioSpread">Over the seeds.</param>
/// <param name="Chosen">The settings of the chosen trial.</param>
/// <param name="Trials">Trials that were made.</param>
/// <param name="Kept">Trials that kept the utility on the development split.</param>
/// <param name="Failed">Trials that diverged.</param>
public sealed record LeagueRow(
    string Method, string Preset, double? ForgetQuality, double? ModelUtility, double? UtilityRatio, double? Answers, double? Seconds, Spread? ForgetQualitySpread, Spread? UtilityRatioSpread,
    string? Chosen, int Trials, int Kept, int Failed);

/// <summary>The league table.</summary>
/// <param name="Rows">Best forgetting first; methods without a valid run last.</param>
/// <param name="Start">The model before unlearning, on the test split.</param>
/// <param name="Rule">How runs were chosen, in words.</param>
/// <param name="Command">The command that makes the same table.</param>
public sealed record LeagueResult(IReadOnlyList<LeagueRow> Rows, LeagueScore Start, string Rule, string Command)
{
    /// <summary>The table in Markdown, with the rule and the command.</summary>
    public string Markdown()
    {
        var text = new StringBuilder("| method | forget quality | (seeds) | answers left | utility | of start | (seeds) | seconds | chosen | kept / trials |\n|---|---|---|---|---|---|---|---|---|---|\n");
        text.Append(CultureInfo.InvariantCulture, $"| start | {Start.Forgetting:G3} | | {Start.Answers:F3} | {Start.Utility:F3} | 1 | | | | |\n");
        foreach (var row in Rows)
        {
            text.Append(CultureInfo.InvariantCulture, $"| {row.Method} | {row.ForgetQuality:G3} | {Text(row.ForgetQualitySpread)} | {row.Answers:F3} | {row.ModelUtility:F3} | {row.UtilityRatio:F3} | {Text(row.UtilityRatioSpread)} | {row.Seconds:F1} | ");
            text.Append(CultureInfo.InvariantCulture, $"{row.Chosen ?? "no trial kept the utility"} | {row.Kept} / {row.Trials}{(row.Failed > 0 ? $" ({row.Failed} diverged)" : "")} |\n");
        }

        return text.Append(CultureInfo.InvariantCulture, $"\n{Rule}\n\n    {Command}\n").ToString();
    }

    private static string Text(Spread? spread) => spread is null ? "" : string.Create(CultureInfo.InvariantCulture, $"{spread.Low:G3} to {spread.High:G3}");
}
