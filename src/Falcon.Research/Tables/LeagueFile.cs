using System.Globalization;

namespace Falcon.Research.Tables;

/// <summary>What the tables read from the result of <c>bench methods</c>.</summary>
/// <param name="Rows">The methods, best first.</param>
/// <param name="Start">The model before unlearning.</param>
/// <param name="Ceiling">A second retrained model; null where there was none.</param>
/// <param name="UtilityFloor">Share of the start's utility that was to be kept.</param>
internal sealed record LeagueFile(
    IReadOnlyList<LeagueFile.Entry> Rows,
    LeagueFile.Score Start,
    LeagueFile.Score? Ceiling,
    double UtilityFloor
)
{
    /// <summary>A method with its medians over the seeds.</summary>
    internal sealed record Entry(
        string Method,
        double? ForgetQuality,
        double? UtilityRatio,
        double? Answers,
        Range? ForgetQualitySpread,
        Range? UtilityRatioSpread,
        int Seeds
    );

    /// <summary>Lowest and highest over the seeds.</summary>
    internal sealed record Range(double Low, double High);

    /// <summary>What a model scores.</summary>
    internal sealed record Score(double? Forgetting, double? Answers, double Utility);

    /// <summary>One row a method that keeps the utility, after that of the ceiling and before that of the start.</summary>
    public ResultTable Table()
    {
        List<IReadOnlyList<string>> rows = [];
        if (Ceiling is not null)
            rows.Add(
                [
                    "a second retrained model (the ceiling)",
                    Small(Ceiling.Forgetting),
                    Share(Ceiling.Utility / Start.Utility),
                    Share(Ceiling.Answers),
                    "",
                ]
            );
        rows.AddRange(Rows.Where(entry => entry.UtilityRatio >= UtilityFloor).Select(Row));
        rows.Add(["before", Small(Start.Forgetting), "1", Share(Start.Answers), ""]);
        return new ResultTable(["", "forgetting", "utility, share of the original's", "forgotten answers left", "seeds"], rows);
    }

    private static IReadOnlyList<string> Row(Entry entry) =>
        [
            $"`{entry.Method}`",
            With(Small(entry.ForgetQuality), entry.ForgetQualitySpread, Small),
            With(Share(entry.UtilityRatio), entry.UtilityRatioSpread, Share),
            Share(entry.Answers),
            entry.Seeds.ToString(CultureInfo.InvariantCulture),
        ];

    private static string With(string median, Range? range, Func<double?, string> format) =>
        range is null || range.Low == range.High ? median : $"{median} ({format(range.Low)} to {format(range.High)})";

    private static string Share(double? value) => value?.ToString("0.000", CultureInfo.InvariantCulture) ?? "";

    // Two digits; below a hundredth as 4e-6.
    private static string Small(double? value) =>
        value is not { } number ? ""
        : number == 0 ? "0"
        : number >= 0.01 ? number.ToString("G2", CultureInfo.InvariantCulture)
        : number.ToString("0.#e-0", CultureInfo.InvariantCulture);
}
