using Falcon.Runtime;

namespace Falcon.Exchange.Adapters;

/// <summary>
/// target_modules or exclude_modules: a list of names, of which each means the module of that name and every module whose path ends in it,
/// or one regular expression for the whole path, or every matrix but the output head's.
/// </summary>
internal sealed class ModuleSelection
{
    private const string AllLinear = "all-linear";

    private readonly PythonPattern? _compiled;

    /// <summary>A list of names.</summary>
    public ModuleSelection(IReadOnlyList<string> names) => Names = names;

    /// <summary>A regular expression, or <c>all-linear</c>.</summary>
    /// <param name="pattern">The text.</param>
    /// <param name="where">File and key, for messages.</param>
    /// <exception cref="UnsupportedCheckpointException">The expression cannot be read.</exception>
    public ModuleSelection(string pattern, string where)
    {
        Pattern = pattern;
        IsAllLinear = pattern.Equals(AllLinear, StringComparison.OrdinalIgnoreCase);
        if (!IsAllLinear)
            _compiled = PythonPattern.Whole(pattern, where);
    }

    /// <summary>The names; empty for a regular expression.</summary>
    public IReadOnlyList<string> Names { get; } = [];

    /// <summary>The regular expression; null for a list.</summary>
    public string? Pattern { get; }

    /// <summary>Whether it means every matrix but the output head's.</summary>
    public bool IsAllLinear { get; }

    /// <summary>Whether a module is meant.</summary>
    public bool Holds(BaseModule module) =>
        IsAllLinear ? module is { IsMatrix: true, IsHead: false }
        : _compiled is not null ? _compiled.Fits(module.Name)
        : Names.Any(name => IsNamed(module.Name, name));

    /// <summary>Whether a list holds exactly this path, which layers_to_transform then does not narrow.</summary>
    public bool HoldsWholePath(string path) => Names.Contains(path);

    /// <summary>Whether a name of a list means a path.</summary>
    public static bool IsNamed(string path, string name) => path == name || path.EndsWith("." + name, StringComparison.Ordinal);
}
