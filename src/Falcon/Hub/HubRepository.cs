using System.Text.RegularExpressions;
using Falcon.Runtime;

namespace Falcon.Hub;

/// <summary>What a repository of a hub holds.</summary>
public enum HubRepositoryType
{
    /// <summary>A model.</summary>
    Model,

    /// <summary>A data set.</summary>
    Dataset,
}

/// <summary>A repository of a hub.</summary>
/// <param name="Type">Model or data set.</param>
/// <param name="Name"><c>organisation/name</c>, or a name alone for a few old ones.</param>
public sealed partial record HubRepository(HubRepositoryType Type, string Name)
{
    // The benchmarks that `evaluate` knows, by the names of their suites.
    private static readonly Dictionary<string, string> Benchmarks = new(StringComparer.OrdinalIgnoreCase)
    {
        ["tofu"] = "locuslab/TOFU",
        ["muse-news"] = "muse-bench/MUSE-News",
        ["muse-books"] = "muse-bench/MUSE-Books",
        ["wmdp"] = "cais/wmdp",
        ["mmlu"] = "cais/mmlu",
        ["wikitext"] = "Salesforce/wikitext",
    };

    /// <summary>Short names of data sets.</summary>
    public static IReadOnlyCollection<string> BenchmarkNames => Benchmarks.Keys;

    /// <summary>Reads a name: <c>organisation/name</c>, or of data sets one of <see cref="BenchmarkNames"/>.</summary>
    /// <exception cref="UserInputException">It is no name of a repository.</exception>
    public static HubRepository Parse(string name, HubRepositoryType type)
    {
        if (type == HubRepositoryType.Dataset && Benchmarks.TryGetValue(name, out var known)) return new HubRepository(type, known);
        if (!Form().IsMatch(name) || name.Contains("--", StringComparison.Ordinal) || name.Contains("..", StringComparison.Ordinal))
            throw new UserInputException(
                $"'{name}' is no repository of a hub; write "
                    + $"organisation/name{(type == HubRepositoryType.Dataset ? $", or one of {string.Join(", ", Benchmarks.Keys)}" : "")}."
            );
        return new HubRepository(type, name);
    }

    /// <summary>The path of the repository below the API's address.</summary>
    internal string ApiPath => $"api/{(Type == HubRepositoryType.Model ? "models" : "datasets")}/{Name}";

    /// <summary>The path of a file's content at a revision.</summary>
    internal string FilePath(string revision, string path) =>
        $"{(Type == HubRepositoryType.Model ? "" : "datasets/")}{Name}/resolve/{Uri.EscapeDataString(revision)}/{string.Join('/', path.Split('/').Select(Uri.EscapeDataString))}";

    /// <summary>The folder in a cache, such as <c>models--organisation--name</c>.</summary>
    internal string CacheFolder =>
        $"{(Type == HubRepositoryType.Model ? "models" : "datasets")}--{Name.Replace("/", "--", StringComparison.Ordinal)}";

    [GeneratedRegex(@"^[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?$")]
    private static partial Regex Form();
}
