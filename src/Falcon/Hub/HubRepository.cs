using System.Text.RegularExpressions;
using Falcon.Runtime;

namespace Falcon.Hub;

/// <summary>The kind of a repository.</summary>
public enum HubRepositoryType
{
    /// <summary>A model.</summary>
    Model,

    /// <summary>A data set.</summary>
    Dataset,
}

/// <summary>A repository of a hub.</summary>
/// <param name="Type">Model or data set.</param>
/// <param name="Name"><c>organisation/name</c>; a few old repositories have no organisation.</param>
public sealed partial record HubRepository(HubRepositoryType Type, string Name)
{
    // The benchmarks of the verb evaluate, by the names of their suites.
    private static readonly Dictionary<string, string> Benchmarks = new(StringComparer.OrdinalIgnoreCase)
    {
        ["tofu"] = "locuslab/TOFU",
        ["muse-news"] = "muse-bench/MUSE-News",
        ["muse-books"] = "muse-bench/MUSE-Books",
        ["wmdp"] = "cais/wmdp",
        ["mmlu"] = "cais/mmlu",
        ["wikitext"] = "Salesforce/wikitext",
    };

    /// <summary>The short names of benchmark data sets, such as <c>tofu</c>.</summary>
    public static IReadOnlyCollection<string> BenchmarkNames => Benchmarks.Keys;

    /// <summary>Reads a name: <c>organisation/name</c>, or for data sets one of <see cref="BenchmarkNames"/>.</summary>
    /// <exception cref="UserInputException">It is not the name of a repository.</exception>
    public static HubRepository Parse(string name, HubRepositoryType type)
    {
        if (type == HubRepositoryType.Dataset && Benchmarks.TryGetValue(name, out var known)) return new HubRepository(type, known);
        if (Form().IsMatch(name) && !name.Contains("--", StringComparison.Ordinal) && !name.Contains("..", StringComparison.Ordinal))
            return new HubRepository(type, name);
        var others = type == HubRepositoryType.Dataset ? $", or one of {string.Join(", ", Benchmarks.Keys)}" : "";
        throw new UserInputException($"'{name}' is not the name of a repository; write organisation/name{others}.");
    }

    /// <summary>The path of the repository below the API's address.</summary>
    internal string ApiPath => $"api/{(Type == HubRepositoryType.Model ? "models" : "datasets")}/{Name}";

    /// <summary>The path of a file's content at a revision.</summary>
    internal string FilePath(string revision, string path)
    {
        var escaped = string.Join('/', path.Split('/').Select(Uri.EscapeDataString));
        return $"{(Type == HubRepositoryType.Model ? "" : "datasets/")}{Name}/resolve/{Uri.EscapeDataString(revision)}/{escaped}";
    }

    /// <summary>The folder in the cache, such as <c>models--organisation--name</c>.</summary>
    internal string CacheFolder =>
        $"{(Type == HubRepositoryType.Model ? "models" : "datasets")}--{Name.Replace("/", "--", StringComparison.Ordinal)}";

    [GeneratedRegex(@"^[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?$")]
    private static partial Regex Form();
}
