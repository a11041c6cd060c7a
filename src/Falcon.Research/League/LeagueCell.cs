using System.Text.Json;
using Falcon.Runs.Configuration;
using Falcon.Runtime;

namespace Falcon.Research.League;

/// <summary>A score of a run after some steps.</summary>
/// <param name="Step">Finished steps.</param>
/// <param name="Score">On the split of the cell.</param>
public sealed record LeagueSnapshot(int Step, LeagueScore Score);

/// <summary>
/// One cell of the league, kept in <c>cell.json</c> of its directory: a run and its scores, or why it failed. Deleting the directory makes
/// the cell anew.
/// </summary>
/// <param name="Settings">What is special about the run.</param>
/// <param name="Snapshots">Scores at the steps that were measured.</param>
/// <param name="Seconds">Wall-clock time of the run, without scoring.</param>
/// <param name="Failure">Why it failed; null where it did not.</param>
internal sealed record LeagueCell(string Settings, IReadOnlyList<LeagueSnapshot> Snapshots, double Seconds, string? Failure)
{
    private const string FileName = "cell.json";

    /// <summary>A trial whose utility has fallen below this share of the floor is ended: it does not come back above it.</summary>
    public const double HopelessUtility = 0.9;

    /// <summary>The cell as it stands in its directory, or made now. Another process that makes the same cell is waited for.</summary>
    /// <param name="directory">The cell's directory.</param>
    /// <param name="config">The run.</param>
    /// <param name="settings">What is special about it.</param>
    /// <param name="steps">Steps at which it is scored, ascending.</param>
    /// <param name="split">Which half scores it.</param>
    /// <param name="floor">Utility below which forgetting is not measured; null measures it always.</param>
    /// <param name="suite">Scores it.</param>
    /// <param name="context">Log, device, clock, cancellation.</param>
    /// <exception cref="UserInputException">The directory holds a cell with other settings.</exception>
    public static LeagueCell Make(
        string directory,
        UnlearnConfig config,
        string settings,
        IReadOnlyList<int> steps,
        LeagueSplit split,
        double? floor,
        LeagueSuite suite,
        RunContext context
    )
    {
        var file = Path.Combine(directory, FileName);
        var written = Path.Combine(directory, "config.json");
        Directory.CreateDirectory(directory);
        using var claim = Claim(Path.Combine(directory, "lock"), context.Cancellation);
        if (File.Exists(file) && File.ReadAllText(written) != ConfigFile.Write(config))
            throw new UserInputException(
                $"{directory}: the cell was made with other settings; remove the directory, or give another --out."
            );
        if (File.Exists(file))
            return JsonSerializer.Deserialize<LeagueCell>(File.ReadAllText(file), ResultJson.Options)!;
        context.Log.Information($"{directory}: {settings}");
        File.WriteAllText(written, ConfigFile.Write(config));
        var cell = RunAndScore(config, settings, steps, split, floor, suite, context);
        OutputFile.Write(file, JsonSerializer.Serialize(cell, ResultJson.Options) + "\n");
        return cell;
    }

    private static LeagueCell RunAndScore(
        UnlearnConfig config,
        string settings,
        IReadOnlyList<int> steps,
        LeagueSplit split,
        double? floor,
        LeagueSuite suite,
        RunContext context
    )
    {
        List<LeagueSnapshot> snapshots = [];
        try
        {
            var seconds = new MeasuredTraining(context).Run(config, steps, (step, model, tokenizer) =>
            {
                var score = suite.Score(model, tokenizer, split, floor, context);
                snapshots.Add(new LeagueSnapshot(step, score));
                context.Log.Information(
                    FormattableString.Invariant(
                        $"  step {step}: forgetting {score.Forgetting:G3}, answers {score.Answers:F3}, utility {score.Utility:F4}"
                    )
                );
                return floor is null || score.Utility >= HopelessUtility * floor;
            });
            return new LeagueCell(settings, snapshots, seconds, null);
        }
        catch (NumericalFailureException failure)
        {
            return new LeagueCell(settings, snapshots, 0, failure.Message); // what was measured before stays
        }
    }

    private static FileStream Claim(string path, CancellationToken cancellation)
    {
        const int BetweenLooks = 1000;
        while (true)
        {
            cancellation.ThrowIfCancellationRequested();
            try
            {
                return new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, 1, FileOptions.DeleteOnClose);
            }
            catch (IOException)
            {
                cancellation.WaitHandle.WaitOne(BetweenLooks);
            }
        }
    }
}
