using System.Globalization;
using System.Text.RegularExpressions;
using Falcon.Runtime;

namespace Falcon.Exchange.Adapters;

/// <summary>A module with a low-rank change.</summary>
/// <param name="Module">The module.</param>
/// <param name="Rank">r, the inner size of its factors.</param>
/// <param name="Scale">What their product is multiplied by.</param>
internal sealed record LoraTarget(BaseModule Module, int Rank, double Scale);

/// <summary>
/// Which modules an adapter's configuration means, by the rules by which PEFT finds them again when it loads the adapter.
/// </summary>
internal sealed partial class AdapterTargets
{
    private readonly PeftConfig _config;
    private readonly BaseModules _modules;
    private readonly IReadOnlyList<PythonPattern> _savedParts;
    private readonly IReadOnlyList<Regex> _layerPatterns;

    private AdapterTargets(PeftConfig config, BaseModules modules)
    {
        (_config, _modules) = (config, modules);
        _savedParts = [.. config.Saved.Select(name => PythonPattern.Part(name, $"{config.Path}: modules_to_save"))];
        if (config.LayersPatterns.FirstOrDefault(name => Regex.Escape(name) != name) is { } special)
            throw new UnsupportedCheckpointException(
                $"{config.Path}: layers_pattern \"{special}\" is no plain name of a list of layers, such as layers or h."
            );
        _layerPatterns = [.. config.LayersPatterns.Select(name => new Regex($@"\A.*\.{name}\.(\d+)\.", RegexOptions.CultureInvariant))];
        Saved = [.. config.Saved.SelectMany(Named).Distinct()];
        var meant = modules.All.Where(module => module.IsAdaptable && IsMeant(module)).ToList();
        RequireHits(meant);
        var ranks = Compiled(config.Ranks, "rank_pattern");
        var alphas = Compiled(config.Alphas, "alpha_pattern");
        Lora =
        [
            .. meant.Select(module =>
            {
                var rank = (int)(First(ranks, module) ?? config.Rank);
                var alpha = First(alphas, module) ?? config.Alpha;
                return new LoraTarget(module, rank, alpha / (config.RankStabilized ? Math.Sqrt(rank) : rank));
            }),
        ];
        Unused = [.. Unfit(ranks, meant, "rank_pattern"), .. Unfit(alphas, meant, "alpha_pattern")];
    }

    /// <summary>The modules with low-rank changes.</summary>
    public IReadOnlyList<LoraTarget> Lora { get; }

    /// <summary>The modules, or modules that hold others, whose own weights the adapter holds (modules_to_save).</summary>
    public IReadOnlyList<string> Saved { get; }

    /// <summary>Patterns that fit no adapted module and so change nothing, as texts for a message.</summary>
    public IReadOnlyList<string> Unused { get; }

    /// <summary>Finds the modules.</summary>
    /// <exception cref="UnsupportedCheckpointException">A name means no module of the base.</exception>
    public static AdapterTargets Find(PeftConfig config, BaseModules modules) => new(config, modules);

    /// <summary>Whether a module is one of modules_to_save or inside one.</summary>
    public bool IsSaved(string module) => Saved.Any(saved => module == saved || module.StartsWith(saved + ".", StringComparison.Ordinal));

    // PEFT goes by the end of the path, without a dot: "norm" means every module whose path ends in these letters.
    private IEnumerable<string> Named(string name)
    {
        List<string> found = [.. _modules.Paths.Where(path => path.EndsWith(name, StringComparison.Ordinal))];
        return found.Count > 0 ? found : throw HitsNothing("modules_to_save", name);
    }

    private bool IsMeant(BaseModule module) => _config.Targets.Holds(module) && !IsExcluded(module) && IsInLayers(module.Name);

    private bool IsExcluded(BaseModule module) =>
        (_config.Excluded?.Holds(module) ?? false) || _savedParts.Any(part => part.Fits(module.Name));

    private bool IsInLayers(string path)
    {
        if (_config.Layers.Count == 0 || _config.Targets.HoldsWholePath(path))
            return true;
        var found =
            _layerPatterns.Count == 0
                ? AnyList().Match(path)
                : _layerPatterns.Select(pattern => pattern.Match(path)).FirstOrDefault(match => match.Success);
        return found is { Success: true }
            && int.TryParse(found.Groups[1].ValueSpan, NumberStyles.None, CultureInfo.InvariantCulture, out var layer)
            && _config.Layers.Contains(layer);
    }

    private void RequireHits(List<BaseModule> meant)
    {
        var adaptable = _modules.All.Where(module => module.IsAdaptable).ToList();
        var idle = _config.Targets.Names.FirstOrDefault(name => !adaptable.Any(module => ModuleSelection.IsNamed(module.Name, name)));
        if (idle is not null)
            throw HitsNothing("target_modules", idle);
        if (_config.Targets.Pattern is { } pattern && !adaptable.Any(_config.Targets.Holds))
            throw HitsNothing("target_modules", pattern);
        if (meant.Count == 0)
            throw HitsNothing(
                "target_modules",
                string.Join(", ", _config.Targets.Names.Append(_config.Targets.Pattern ?? "")).TrimEnd(',', ' ')
            );
        foreach (var layer in _config.Layers)
            if (
                !meant.Any(module =>
                    module.Name.Contains(string.Create(CultureInfo.InvariantCulture, $".{layer}."), StringComparison.Ordinal)
                )
            )
                throw HitsNothing("layers_to_transform", layer.ToString(CultureInfo.InvariantCulture));
    }

    private UnsupportedCheckpointException HitsNothing(string key, string name) =>
        new(
            $"{_config.Path}: {key} names \"{name}\", which is no module of the base model that can be adapted "
                + $"(it has {string.Join(", ", _modules.All.Where(module => module.IsAdaptable).Select(LastParts).Distinct())}). "
                + "Give the adapter with the model that it was trained on."
        );

    private static string LastParts(BaseModule module) => module.Name[(module.Name.LastIndexOf('.') + 1)..];

    private List<(PythonPattern Pattern, string Text, double Value)> Compiled(IEnumerable<(string Pattern, double Value)> items, string key)
    {
        List<(PythonPattern, string, double)> all = [];
        foreach (var (pattern, value) in items)
        {
            if (key == "rank_pattern" && (value < 1 || value != Math.Floor(value)))
                throw new UnsupportedCheckpointException(
                    string.Create(CultureInfo.InvariantCulture, $"{_config.Path}: {key}[\"{pattern}\"] is {value}: a rank is at least 1.")
                );
            all.Add((PythonPattern.Ending(pattern, $"{_config.Path}: {key}"), pattern, value));
        }

        return all;
    }

    private static double? First(List<(PythonPattern Pattern, string Text, double Value)> patterns, BaseModule module)
    {
        foreach (var (pattern, _, value) in patterns)
            if (pattern.Fits(module.Name))
                return value;
        return null;
    }

    private static IEnumerable<string> Unfit(
        List<(PythonPattern Pattern, string Text, double Value)> patterns,
        List<BaseModule> meant,
        string key
    ) => patterns.Where(item => !meant.Any(module => item.Pattern.Fits(module.Name))).Select(item => $"{key} \"{item.Text}\"");

    // The last number in the path that stands behind a name.
    [GeneratedRegex(@"\A.*\.[^.]*\.(\d+)\.")]
    private static partial Regex AnyList();
}
