using Falcon.Methods;
using Falcon.Runs.Configuration;
using Falcon.Runtime;

namespace Falcon.Research.League;

/// <summary>Who takes part in the league: a method with one of its presets.</summary>
/// <param name="Name">The method's name for its default preset, the preset's name for any other.</param>
/// <param name="Method">The method.</param>
/// <param name="Preset">The preset.</param>
public sealed record LeagueEntrant(string Name, UnlearningMethod Method, MethodPreset Preset)
{
    /// <summary>Every preset of every method.</summary>
    public static IReadOnlyList<LeagueEntrant> All =>
        [
            .. MethodCatalog.All.SelectMany(method =>
                method.Presets.Select(preset => new LeagueEntrant(preset == method.Default ? method.Name : preset.Name, method, preset))
            ),
        ];

    /// <summary>Most trials that every entrant has.</summary>
    public static int LargestTrials => All.Min(entrant => entrant.Preset.Trials.Count);

    /// <summary>The entrant of a name.</summary>
    /// <exception cref="UserInputException">There is none.</exception>
    public static LeagueEntrant Find(string name) =>
        All.FirstOrDefault(entrant => entrant.Name == name)
        ?? throw new UserInputException(
            $"--methods {name}: not known; known are {string.Join(", ", All.Select(entrant => entrant.Name))}."
        );

    /// <summary>The settings before model and data.</summary>
    public UnlearnConfig Settings() => UnlearnConfig.Of(Method.Name, Preset.Name);

    /// <summary>A trial's configuration, and what is special about it.</summary>
    /// <param name="config">The entrant's settings with model, data and steps.</param>
    /// <param name="trial">From 0.</param>
    /// <exception cref="UserInputException">A setting of the trial does not fit the configuration.</exception>
    public (UnlearnConfig Config, string Text) Trial(UnlearnConfig config, int trial) =>
        (ConfigFile.Read(null, Preset.Trials[trial].Settings, config), Preset.Trials[trial].Text);
}
