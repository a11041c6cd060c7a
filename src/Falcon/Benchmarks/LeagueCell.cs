using System.Text.Json;
using Falcon.Configuration;
using Falcon.Runtime;
using Falcon.Unlearning;

namespace Falcon.Benchmarks;

/// <summary>One cell of the league, kept in <c>cell.json</c> of its run directory: a run and its score, or why it failed. Deleting the directory makes the cell anew.</summary>
/// <param name="Settings">What is special about the run.</param>
/// <param name="Score">On the split of the cell; null for a run that diverged.</param>
/// <param name="Seconds">Wall-clock time of the run, without scoring.</param>
/// <param name="Failure">Why it failed; null where it did not.</param>
internal sealed record LeagueCell(string Settings, LeagueScore? Score, double Seconds, string? Failure)
{
    private const string FileName = "cell.json";

    /// <summary>The cell as it stands in its directory, or made now. The model is deleted when it has been scored.</summary>
    /// <exception cref="UserInputException">The directory holds a run with other settings.</exception>
    public static LeagueCell Make(string directory, UnlearnConfig config, string settings, LeagueSplit split, LeagueSuite suite, RunContext context)
    {
        var file = Path.Combine(directory, FileName);
        var written = Path.Combine(directory, "config.json");
        if (File.Exists(written) && File.ReadAllText(written) != ConfigFile.Write(config))
            throw new UserInputException($"{directory}: the cell was made with other settings; remove the directory, or give another --out.");
        if (File.Exists(file)) return JsonSerializer.Deserialize<LeagueCell>(File.ReadAllText(file), ResultJson.Options)!;
        context.Log.Information($"{directory}: {settings}");
        var cell = RunAndScore(directory, config, settings, split, suite, context);
        OutputFile.Write(file, JsonSerializer.Serialize(cell, ResultJson.Options) + "\n");
        if (Directory.Exists(Path.Combine(directory, "model"))) Directory.Delete(Path.Combine(directory, "model"), recursive: true);
        return cell;
    }

    private static LeagueCell RunAndScore(string directory, UnlearnConfig config, string settings, LeagueSplit split, LeagueSuite suite, RunContext context)
    {
        try
        {
            // A finished run whose scoring was interrupted is only scored.
            var seconds = File.Exists(Path.Combine(directory, "run.json"))
                ? JsonSerializer.Deserialize<RunRecord>(File.ReadAllText(Path.Combine(directory, "run.json")), ResultJson.Options)!.Seconds
                : UnlearnRun.Execute(config, directory, RunDirectory.IsInterrupted(directory), context).Seconds;
            return new LeagueCell(settings, suite.Score(Path.Combine(directory, "model"), split, directory, context), seconds, null);
        }
        catch (NumericalFailureException failure)
        {
            Directory.CreateDirectory(directory);
            File.WriteAllText(Path.Combine(directory, "config.json"), ConfigFile.Write(config));
            return new LeagueCell(settings, null, 0, failure.Message);
        }
    }
}
