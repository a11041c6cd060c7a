using System.Globalization;
using System.Text;

namespace Falcon.Research.League;

/// <summary>What a model scores on one split.</summary>
/// <param name="Forgetting">
/// Higher is better. tofu: forget quality, the p-value against the retrained model; demo: 1 - multiple-choice accuracy over the forget
/// domains. Null where it was not measured because the utility is too low.
/// </param>
/// <param name="Answers">
/// tofu: probability of the forgotten answers (development half: of their paraphrases), demo: the accuracy; decides between runs that
/// forget equally well, lower is better. Null with <paramref name="Forgetting"/>.
/// </param>
/// <param name="Utility">
/// tofu: model utility; demo: harmonic mean of the accuracies on what is kept and of the share of the start's perplexity.
/// </param>
public sealed record LeagueScore(double? Forgetting, double? Answers, double Utility)
{
    /// <summary>tofu: the KS distance behind the p-value; null elsewhere.</summary>
    public double? Distance { get; init; }
}

/// <summary>Median, lowest and highest value over the seeds, and the values in the order of the seeds.</summary>
/// <param name="Median">Median.</param>
/// <param name="Low">Lowest.</param>
/// <param name="High">Highest.</param>
/// <param name="Values">One value a seed.</param>
public sealed record Spread(double Median, double Low, double High, IReadOnlyList<double> Values)
{
    /// <summary>The spread of at least one value.</summary>
    internal static Spread Of(double[] values)
    {
        var sorted = values.Order().ToArray();
        return new Spread((sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2, sorted[0], sorted[^1], values);
    }
}

/// <summary>
/// One method in the table; the values are medians over the seeds on the test split, null where no trial kept the utility.
/// </summary>
/// <param name="Method">Name of the method, or of FALCON's preset.</param>
/// <param name="Preset">Preset that the trials started from.</param>
/// <param name="ForgetQuality"><see cref="LeagueScore.Forgetting"/>.</param>
/// <param name="ModelUtility"><see cref="LeagueScore.Utility"/>.</param>
/// <param name="UtilityRatio">Utility over that of the start.</param>
/// <param name="Answers"><see cref="LeagueScore.Answers"/>.</param>
/// <param name="Seconds">Median wall-clock time of a run, without its scoring.</param>
/// <param name="ForgetQualitySpread">Over the seeds.</param>
/// <param name="UtilityRatioSpread">Over the seeds.</param>
/// <param name="DevForgetting">Forgetting of the chosen trial on the development split.</param>
/// <param name="Chosen">The settings and the number of steps of the chosen trial.</param>
/// <param name="Seeds">Seeds behind the values; 1 for a method without chance.</param>
/// <param name="Scored">Scores on the development split: trials times steps that were looked at.</param>
/// <param name="Kept">Of these, how many kept the utility.</param>
/// <param name="Failed">Trials that diverged.</param>
public sealed record LeagueRow(
    string Method,
    string Preset,
    double? ForgetQuality,
    double? ModelUtility,
    double? UtilityRatio,
    double? Answers,
    double? Seconds,
    Spread? ForgetQualitySpread,
    Spread? UtilityRatioSpread,
    double? DevForgetting,
    string? Chosen,
    int Seeds,
    int Scored,
    int Kept,
    int Failed
);

/// <summary>The league table.</summary>
/// <param name="Rows">
/// Best forgetting first among those that keep the utility; then those that do not; methods without a valid run last.
/// </param>
/// <param name="Start">The model before unlearning, on the test split.</param>
/// <param name="Ceiling">A second retrained model, measured as if it were a run; null where none was given.</param>
/// <param name="UtilityFloor">Share of the start's utility that is to be kept.</param>
/// <param name="Rule">How runs were chosen, in words.</param>
/// <param name="Command">The command that makes the same table.</param>
public sealed record LeagueResult(
    IReadOnlyList<LeagueRow> Rows,
    LeagueScore Start,
    LeagueScore? Ceiling,
    double UtilityFloor,
    string Rule,
    string Command
)
{
    /// <summary>The table in Markdown, with the rule and the command.</summary>
    public string Markdown()
    {
        var text = new StringBuilder(
            "| method | forget quality | over the seeds | utility of start | over the seeds | answers left | seeds | seconds | chosen | "
                + "kept / scored |\n|---|---|---|---|---|---|---|---|---|---|\n"
        );
        text.Append(CultureInfo.InvariantCulture, $"| start | {Start.Forgetting:G2} | | 1 | | {Start.Answers:F3} | | | | |\n");
        if (Ceiling is not null)
            text.Append(
                CultureInfo.InvariantCulture,
                $"| another retrained model (the ceiling) | {Ceiling.Forgetting:G2} | | {Ceiling.Utility / Start.Utility:F3} | | "
                    + $"{Ceiling.Answers:F3} | | | | |\n"
            );
        foreach (var row in Rows)
        {
            text.Append(
                CultureInfo.InvariantCulture,
                $"| {row.Method} | {row.ForgetQuality:G2} | {Text(row.ForgetQualitySpread, "G2")} | "
                    + $"{row.UtilityRatio:F3}{(row.UtilityRatio < UtilityFloor ? " (below the floor)" : "")} | "
                    + $"{Text(row.UtilityRatioSpread, "F3")} | {row.Answers:F3} | {(row.Seeds > 0 ? row.Seeds : "")} | {row.Seconds:F0} | "
            );
            text.Append(
                CultureInfo.InvariantCulture,
                $"{row.Chosen ?? "no trial kept the utility"} | {row.Kept} / "
                    + $"{row.Scored}{(row.Failed > 0 ? $" ({row.Failed} trials diverged)" : "")} |\n"
            );
        }

        return text.Append(CultureInfo.InvariantCulture, $"\n{Rule}\n\n    {Command}\n").ToString();
    }

    private static string Text(Spread? spread, string format) =>
        spread is null
            ? ""
            : $"{spread.Low.ToString(format, CultureInfo.InvariantCulture)} to "
                + $"{spread.High.ToString(format, CultureInfo.InvariantCulture)}";
}
