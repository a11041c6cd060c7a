using System.Globalization;
using Falcon.Evaluation;
using Falcon.Runs.Configuration;
using Falcon.Runtime;

namespace Falcon.Research.League;

/// <summary>One entrant's way through the league: trials on the development half, the choice, and the seeds on the test half.</summary>
/// <param name="entrant">A method with a preset.</param>
/// <param name="suite">Scores the runs.</param>
/// <param name="settings">Trials, steps, floor.</param>
/// <param name="dev">The start on the development half.</param>
/// <param name="test">The start on the test half.</param>
/// <param name="context">Log, device, clock, cancellation.</param>
internal sealed class LeagueContest(
    LeagueEntrant entrant,
    LeagueSuite suite,
    LeagueSettings settings,
    LeagueScore dev,
    LeagueScore test,
    RunContext context
)
{
    private sealed record Trial(int Number, LeagueCell Cell);

    private sealed record Scored(Trial Trial, LeagueSnapshot Snapshot);

    private IReadOnlyList<Trial>? _trials;

    /// <summary>Who.</summary>
    public string Entrant => entrant.Name;

    /// <summary>The numbers of steps after which a run is scored: evenly spaced, the last is the end.</summary>
    public static int[] StepsOf(LeagueSettings settings) =>
        [.. Enumerable.Range(1, settings.Snapshots).Select(i => (int)((long)settings.Steps * i / settings.Snapshots))];

    /// <summary>The entrant's row with so many seeds; what is there of trials and seeds is used again.</summary>
    public LeagueRow Row(int seeds)
    {
        var config = Configure();
        var hasSteps = config.Steps > 0;
        int[] steps = hasSteps ? StepsOf(settings) : [0];
        _trials ??=
        [
            .. Enumerable
                .Range(0, settings.Trials)
                .Select(number =>
                {
                    var (tried, text) = entrant.Trial(config, number);
                    return new Trial(
                        number,
                        LeagueCell.Make(
                            Folder("trial", number),
                            tried,
                            text,
                            steps,
                            LeagueSplit.Dev,
                            settings.UtilityFloor * dev.Utility,
                            suite,
                            context
                        )
                    );
                }),
        ];
        var scored = _trials.SelectMany(trial => trial.Cell.Snapshots.Select(snapshot => new Scored(trial, snapshot))).ToList();
        var kept = scored
            .Where(item => item.Snapshot.Score is { Forgetting: not null } score && score.Utility >= settings.UtilityFloor * dev.Utility)
            .ToList();
        var failed = _trials.Count(trial => trial.Cell.Failure is not null);
        var none = new LeagueRow(
            entrant.Name,
            config.Preset,
            null,
            null,
            null,
            null,
            null,
            null,
            null,
            null,
            null,
            0,
            scored.Count,
            kept.Count,
            failed
        );
        if (kept.Count == 0)
            return none;

        var best = Best(kept);
        var chosen = entrant.Trial(config, best.Trial.Number).Config;
        var text = hasSteps
            ? string.Create(CultureInfo.InvariantCulture, $"{best.Trial.Cell.Settings}, {best.Snapshot.Step} of {chosen.Steps} steps")
            : best.Trial.Cell.Settings;
        List<LeagueCell> runs =
        [
            .. Enumerable
                .Range(0, hasSteps ? seeds : 1)
                .Select(seed =>
                    LeagueCell.Make(
                        Folder(
                            string.Create(CultureInfo.InvariantCulture, $"trial-{best.Trial.Number}-step-{best.Snapshot.Step}-seed"),
                            seed
                        ),
                        chosen with
                        {
                            Seed = (ulong)seed,
                        },
                        text,
                        [best.Snapshot.Step],
                        LeagueSplit.Test,
                        null,
                        suite,
                        context
                    )
                ),
        ];
        var scores = runs.SelectMany(run => run.Snapshots).Select(snapshot => snapshot.Score).ToList();
        if (scores.Count < runs.Count) return none with { Chosen = text + "; a seed diverged" };
        Spread Over(Func<LeagueScore, double> value) => Spread.Of([.. scores.Select(value)]);
        var (forgetting, ratio) = (Over(score => score.Forgetting!.Value), Over(score => score.Utility / test.Utility));
        return none with
        {
            ForgetQuality = forgetting.Median,
            ForgetQualitySpread = forgetting,
            ModelUtility = Over(score => score.Utility).Median,
            UtilityRatio = ratio.Median,
            UtilityRatioSpread = ratio,
            Answers = Over(score => score.Answers!.Value).Median,
            Seconds = Spread.Of([.. runs.Select(run => run.Seconds)]).Median,
            DevForgetting = best.Snapshot.Score.Forgetting,
            Chosen = text,
            Seeds = runs.Count,
        };
    }

    // The best score of the trials; where several trials come near, each one's best number of steps is run again and scored on the whole
    // development half.
    private Scored Best(IReadOnlyList<Scored> kept)
    {
        List<Scored> ordered =
        [
            .. kept.OrderByDescending(item => item.Snapshot.Score.Forgetting).ThenBy(item => item.Snapshot.Score.Answers),
        ];
        List<Scored> near =
        [
            .. ordered.Where(item => item.Snapshot.Score.Forgetting >= suite.RunoffFrom).DistinctBy(item => item.Trial.Number),
        ];
        if (near.Count < 2)
            return ordered[0];
        return near.SelectMany(item => Runoff(item).Snapshots.Select(snapshot => item with { Snapshot = snapshot }))
            .OrderByDescending(item => item.Snapshot.Score.Forgetting)
            .ThenBy(item => item.Snapshot.Score.Answers)
            .FirstOrDefault(ordered[0]);
    }

    private LeagueCell Runoff(Scored item) =>
        LeagueCell.Make(
            Folder(string.Create(CultureInfo.InvariantCulture, $"runoff-{item.Trial.Number}-step"), item.Snapshot.Step),
            entrant.Trial(Configure(), item.Trial.Number).Config,
            string.Create(CultureInfo.InvariantCulture, $"{item.Trial.Cell.Settings}, {item.Snapshot.Step} steps"),
            [item.Snapshot.Step],
            LeagueSplit.DevWhole,
            null,
            suite,
            context
        );

    // The same for all methods: order of the texts, steps, nothing measured inside the run.
    private UnlearnConfig Configure()
    {
        var config = suite.Configure(entrant);
        return config with
        {
            Seed = 0,
            Steps = config.Objective.HasSteps ? settings.Steps : 0,
            Data = config.Data with { Shuffle = true },
            Optimizer = config.Optimizer with { WarmupSteps = Math.Min(config.Optimizer.WarmupSteps, settings.Steps / 10) },
            Evaluation = new EvaluationConfig { Samples = 0 },
            Monitor = new MonitorConfig(),
        };
    }

    private string Folder(string kind, int number) =>
        Path.Combine(settings.Out, entrant.Name, string.Create(CultureInfo.InvariantCulture, $"{kind}-{number}"));
}
