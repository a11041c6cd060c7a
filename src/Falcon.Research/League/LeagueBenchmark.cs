using System.Globalization;
using System.Text.Json;
using Falcon.Methods;
using Falcon.Runs.Configuration;
using Falcon.Runtime;

namespace Falcon.Research.League;

/// <summary>
/// The league table of methods under one rule: the same texts in the same order, the same number of trials for each method on a development
/// split, each looked at after the same numbers of steps, the setting with the best forgetting among those that keep the utility, and that
/// one scored once for each seed on the test split. Read this first.
/// </summary>
public static class LeagueBenchmark
{
    /// <summary>The suites.</summary>
    public static IReadOnlyList<string> Suites { get; } = ["tofu", "demo"];

    /// <summary>Most trials a method can have.</summary>
    public static int LargestTrials => LeagueEntrant.LargestTrials;

    /// <summary>Who can take part: every preset of every method.</summary>
    public static IReadOnlyList<string> Entrants => [.. LeagueEntrant.All.Select(entrant => entrant.Name)];

    /// <summary>
    /// Those that take part unless others are named: all but those that write retain texts themselves, minutes for each trial.
    /// </summary>
    public static IReadOnlyList<string> UsualEntrants =>
        [.. LeagueEntrant.All.Where(entrant => entrant.Preset.Settings.Data.GeneratedRetain == 0).Select(entrant => entrant.Name)];

    /// <summary>
    /// Makes what is missing and writes <c>league.json</c> and <c>league.md</c>. Every cell is a directory; a finished one is used again,
    /// so several processes can work on one table.
    /// </summary>
    /// <param name="settings">What is compared.</param>
    /// <param name="demo">The run file of the suite demo with absolute paths; null for tofu.</param>
    /// <param name="context">Log, device, clock, cancellation.</param>
    /// <exception cref="UserInputException">Settings or files are wrong, or a cell was made with other settings.</exception>
    /// <exception cref="OperationCanceledException">Interrupted; the same command continues.</exception>
    public static LeagueResult Execute(LeagueSettings settings, UnlearnConfig? demo, RunContext context)
    {
        if (settings.Trials < 1 || settings.Trials > LargestTrials)
            throw new UserInputException($"--trials {settings.Trials}: give 1 to {LargestTrials}.");
        if (settings.Seeds < 1 || settings.Steps < 1)
            throw new UserInputException("--seeds and --steps must be at least 1.");
        if (settings.Snapshots < 1 || settings.Snapshots > settings.Steps)
            throw new UserInputException($"--snapshots {settings.Snapshots}: give 1 to the number of steps.");
        var entrants = settings.Methods.Distinct().Select(LeagueEntrant.Find).ToList();
        var falcon = MethodCatalog.Default.Name;
        LeagueSuite suite = settings.Suite switch
        {
            "tofu" => new TofuLeague(settings),
            "demo" => new DemoLeague(settings, demo ?? throw new ArgumentNullException(nameof(demo))),
            _ => throw new UserInputException($"--suite {settings.Suite}: not known; known are {string.Join(", ", Suites)}."),
        };
        var model = suite.Configure(LeagueEntrant.Find(falcon)).Model;
        var dev = Measured("start-dev", model, suite, LeagueSplit.Dev, settings, context);
        var test = Measured("start-test", model, suite, LeagueSplit.Test, settings, context);
        if (dev.Utility <= 0 || test.Utility <= 0)
            throw new UserInputException(
                $"{model}: its utility is 0 before anything is unlearned, so no run can be compared with it; give a model that answers "
                    + $"the questions to keep."
            );
        var ceiling =
            settings.SecondReference.Length > 0
                ? Measured("ceiling", settings.SecondReference, suite, LeagueSplit.Test, settings, context)
                : null;

        var contests = entrants
            .Select(entrant => new LeagueContest(entrant, suite, settings, dev, test, context))
            .ToList();
        var rows = Ordered(contests.Select(contest => contest.Row(settings.Seeds)));
        if (settings.SeedsOfBest > settings.Seeds)
        {
            // FALCON and the best three others.
            List<string> best =
            [
                falcon,
                .. rows.Where(row => row.Method != falcon && row.ForgetQuality is not null).Take(3).Select(row => row.Method),
            ];
            rows = Ordered(contests.Select(contest => contest.Row(best.Contains(contest.Entrant) ? settings.SeedsOfBest : settings.Seeds)));
        }

        var result = new LeagueResult(rows, test, ceiling, settings.UtilityFloor, Rule(settings, suite), settings.Command());
        OutputFile.Write(Path.Combine(settings.Out, "league.json"), JsonSerializer.Serialize(result, ResultJson.Options) + "\n");
        OutputFile.Write(Path.Combine(settings.Out, "league.md"), result.Markdown());
        return result;

        // By forgetting among those that keep the utility on the test half too; the others after them.
        List<LeagueRow> Ordered(IEnumerable<LeagueRow> made) =>
            [
                .. made.OrderByDescending(row => row.UtilityRatio >= settings.UtilityFloor)
                    .ThenByDescending(row => row.ForgetQuality ?? double.NegativeInfinity)
                    .ThenBy(row => row.Answers),
            ];
    }

    private static LeagueScore Measured(
        string name,
        string model,
        LeagueSuite suite,
        LeagueSplit split,
        LeagueSettings settings,
        RunContext context
    )
    {
        var file = Path.Combine(settings.Out, name + ".json");
        if (File.Exists(file)) return JsonSerializer.Deserialize<LeagueScore>(File.ReadAllText(file), ResultJson.Options)!;
        var score = suite.Score(model, split, context);
        OutputFile.Write(file, JsonSerializer.Serialize(score, ResultJson.Options) + "\n");
        return score;
    }

    private static string Rule(LeagueSettings settings, LeagueSuite suite)
    {
        static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
        var runoff = suite.RunoffFrom is { } from
            ? Text($" (where several trials reach {from}, each one's best is run again and scored on the whole of that half)")
            : "";
        var best = settings.SeedsOfBest > settings.Seeds ? Text($" ({settings.SeedsOfBest} for falcon and the best three others)") : "";
        var steps = string.Join(", ", LeagueContest.StepsOf(settings));
        var ended = Text($"{LeagueCell.HopelessUtility * settings.UtilityFloor:P0}");
        var floor = Text($"{settings.UtilityFloor:P0}");
        string[] sentences =
        [
            Text($"Every method: the same texts in the same order, {settings.Trials} trials of {settings.Steps} steps with seed 0, each")
                + $" scored on the development half of the questions after {steps} steps (ssd has no steps and one score a trial; "
                + $"a trial that has fallen below {ended} of the start's utility is ended); "
                + $"of the scores that keep at least {floor} of the start's utility the one that forgets best{runoff}; "
                + Text($"its settings and number of steps with {settings.Seeds} seed(s){best}, scored once on the test half."),
            "Nothing is measured inside a run for the method's own use.",
            "Values are medians over the seeds, with lowest and highest.",
            "Rows that keep the utility on the test half come first, ordered by forgetting.",
            $"Measures: {suite.Measures}.",
        ];
        return string.Join(' ', sentences);
    }
}
