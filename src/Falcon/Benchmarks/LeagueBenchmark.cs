using System.Globalization;
using System.Text.Json;
using Falcon.Configuration;
using Falcon.Runtime;

namespace Falcon.Benchmarks;

/// <summary>
/// The league table of methods under one rule: the same texts in the same order, the same number of steps and trials for each method on a development split,
/// the trial with the best forgetting among those that keep the utility, and that one scored once for each seed on the test split. Read this first.
/// </summary>
public static class LeagueBenchmark
{
    /// <summary>The suites.</summary>
    public static IReadOnlyList<string> Suites { get; } = ["tofu", "demo"];

    /// <summary>Most trials a method can have.</summary>
    public static int LargestTrials => TrialGrid.Largest;

    /// <summary>Makes what is missing and writes <c>league.json</c> and <c>league.md</c>. Every cell is a run directory; a finished one is used again.</summary>
    /// <param name="settings">What is compared.</param>
    /// <param name="demo">The run file of the suite demo with absolute paths; null for tofu.</param>
    /// <param name="context">Log, device, clock, cancellation.</param>
    /// <exception cref="UserInputException">Settings or files are wrong, or a cell was made with other settings.</exception>
    /// <exception cref="OperationCanceledException">Interrupted; the same command continues.</exception>
    public static LeagueResult Execute(LeagueSettings settings, UnlearnConfig? demo, RunContext context)
    {
        if (settings.Trials < 1 || settings.Trials > TrialGrid.Largest) throw new UserInputException($"--trials {settings.Trials}: give 1 to {TrialGrid.Largest}.");
        if (settings.Seeds < 1 || settings.Steps < 1) throw new UserInputException("--seeds and --steps must be at least 1.");
        if (settings.Methods.FirstOrDefault(name => !MethodPresets.Names.Contains(name)) is { } unknown) throw new UserInputException($"--methods {unknown}: not known; known are {string.Join(", ", MethodPresets.Names)}.");
        LeagueSuite suite = settings.Suite switch
        {
            "tofu" => new TofuLeague(settings),
            "demo" => new DemoLeague(settings, demo ?? throw new ArgumentNullException(nameof(demo))),
            _ => throw new UserInputException($"--suite {settings.Suite}: not known; known are {string.Join(", ", Suites)}."),
        };
        var first = Configure(suite, MethodPresets.Falcon, settings);
        var dev = Start(suite, first.Model, LeagueSplit.Dev, settings, context);
        var test = Start(suite, first.Model, LeagueSplit.Test, settings, context);
        if (dev.Utility <= 0 || test.Utility <= 0) throw new UserInputException($"{first.Model}: its utility is 0 before anything is unlearned, so no run can be compared with it; give a model that answers the questions to keep.");
        var rows = settings.Methods.Distinct().Select(method => Row(method, suite, dev, test, settings, context)).ToList();
        var result = new LeagueResult([.. rows.OrderByDescending(row => row.ForgetQuality ?? double.NegativeInfinity).ThenBy(row => row.Answers)], test, Rule(settings), settings.Command());
        OutputFile.Write(Path.Combine(settings.Out, "league.json"), JsonSerializer.Serialize(result, ResultJson.Options) + "\n");
        OutputFile.Write(Path.Combine(settings.Out, "league.md"), result.Markdown());
        return result;
    }

    private static LeagueRow Row(string method, LeagueSuite suite, LeagueScore dev, LeagueScore test, LeagueSettings settings, RunContext context)
    {
        var config = Configure(suite, method, settings);
        List<(int Number, LeagueCell Cell)> trials = [];
        for (var trial = 0; trial < settings.Trials; trial++)
        {
            var (tried, text) = TrialGrid.At(config, trial);
            trials.Add((trial, LeagueCell.Make(Path.Combine(settings.Out, method, string.Create(CultureInfo.InvariantCulture, $"trial-{trial}")), tried, text, LeagueSplit.Dev, suite, context)));
        }

        var kept = trials.Where(trial => trial.Cell.Score is { } score && score.Utility >= settings.UtilityFloor * dev.Utility).ToList();
        var failed = trials.Count(trial => trial.Cell.Failure is not null);
        if (kept.Count == 0) return new LeagueRow(method, config.Preset, null, null, null, null, null, null, null, null, trials.Count, 0, failed);

        var best = kept.OrderByDescending(trial => trial.Cell.Score!.Forgetting).ThenBy(trial => trial.Cell.Score!.Answers).First();
        var chosen = TrialGrid.At(config, best.Number).Config;
        List<LeagueCell> runs = [];
        for (var seed = 0; seed < settings.Seeds; seed++)
            runs.Add(LeagueCell.Make(Path.Combine(settings.Out, method, string.Create(CultureInfo.InvariantCulture, $"seed-{seed}")), chosen with { Seed = (ulong)seed }, best.Cell.Settings, LeagueSplit.Test, suite, context));
        var scores = runs.Select(run => run.Score).OfType<LeagueScore>().ToList();
        if (scores.Count < runs.Count) return new LeagueRow(method, config.Preset, null, null, null, null, null, null, null, $"{best.Cell.Settings}; a seed diverged", trials.Count, kept.Count, failed);
        return new LeagueRow(
            method, config.Preset, scores.Average(score => score.Forgetting), scores.Average(score => score.Utility), scores.Average(score => score.Utility / test.Utility), scores.Average(score => score.Answers),
            runs.Average(run => run.Seconds), Over(scores, score => score.Forgetting), Over(scores, score => score.Utility / test.Utility), best.Cell.Settings, trials.Count, kept.Count, failed);
    }

    // The same for all methods: order of the texts, steps, nothing measured inside the run.
    private static UnlearnConfig Configure(LeagueSuite suite, string method, LeagueSettings settings)
    {
        var config = suite.Configure(method);
        return config with
        {
            Seed = 0,
            Steps = method == "ssd" ? 0 : settings.Steps,
            Data = config.Data with { Shuffle = true },
            Optimizer = config.Optimizer with { WarmupSteps = Math.Min(config.Optimizer.WarmupSteps, settings.Steps / 10) },
            Evaluation = new EvaluationConfig { Samples = 0 },
        };
    }

    private static LeagueScore Start(LeagueSuite suite, string model, LeagueSplit split, LeagueSettings settings, RunContext context)
    {
        var folder = Path.Combine(settings.Out, "start", split.ToString().ToLowerInvariant());
        var file = Path.Combine(folder, "score.json");
        if (File.Exists(file)) return JsonSerializer.Deserialize<LeagueScore>(File.ReadAllText(file), ResultJson.Options)!;
        var score = suite.Score(model, split, folder, context);
        OutputFile.Write(file, JsonSerializer.Serialize(score, ResultJson.Options) + "\n");
        return score;
    }

    private static Spread Over(List<LeagueScore> scores, Func<LeagueScore, double> value) => new(scores.Min(value), scores.Max(value));

    private static string Rule(LeagueSettings settings) => string.Create(CultureInfo.InvariantCulture,
        $"Every method: the same texts in the same order, {settings.Steps} steps (ssd has none), {settings.Trials} trials with seed 0 on the development half of the questions; of the trials that keep at least {settings.UtilityFloor:P0} of the start's utility the one that forgets best; that one with {settings.Seeds} seed(s), scored once on the test half. Values are means, in brackets lowest and highest over the seeds.");
}
