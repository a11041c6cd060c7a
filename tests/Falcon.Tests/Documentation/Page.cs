using System.Text;
using System.Text.RegularExpressions;

namespace Falcon.Tests.Documentation;

/// <summary>A page that people read: README, CONTRIBUTING, and what is in docs but for the generated reference.</summary>
/// <param name="Name">The path relative to the repository's root, with slashes.</param>
internal sealed partial record Page(string Name)
{
    /// <summary>Where it lies.</summary>
    public string Path => System.IO.Path.Combine(Fixtures.RepositoryRoot, Name);

    /// <summary>The folder it lies in.</summary>
    public string Folder => System.IO.Path.GetDirectoryName(Path)!;

    /// <summary>Its text.</summary>
    public string Text => File.ReadAllText(Path);

    /// <summary>Its lines.</summary>
    public string[] Lines => File.ReadAllLines(Path);

    /// <summary>Whether it is a dated record, whose paths and keys are those of its day.</summary>
    public bool IsExperiment => Name.StartsWith("docs/experiments/", StringComparison.Ordinal);

    /// <summary>All pages.</summary>
    public static IReadOnlyList<Page> All()
    {
        var docs = System.IO.Path.Combine(Fixtures.RepositoryRoot, "docs");
        var names = Directory
            .EnumerateFiles(docs, "*.md", SearchOption.AllDirectories)
            .Select(path => "docs/" + System.IO.Path.GetRelativePath(docs, path).Replace('\\', '/'))
            .Where(name => !name.StartsWith("docs/api/", StringComparison.Ordinal))
            .Order(StringComparer.Ordinal);
        return [.. new[] { "README.md", "CONTRIBUTING.md" }.Concat(names).Select(name => new Page(name))];
    }

    /// <summary>The targets of its links and pictures, but for addresses of the web.</summary>
    public IEnumerable<string> Links() =>
        Link()
            .Matches(Text)
            .Select(match => match.Groups[1].Value)
            .Where(target => !target.Contains("://", StringComparison.Ordinal));

    /// <summary>What stands in backquotes within a line.</summary>
    public IEnumerable<string> Quoted() => Code().Matches(Fence().Replace(Text, "")).Select(match => match.Groups[1].Value);

    /// <summary>The anchors of its headings, as GitHub makes them.</summary>
    public IEnumerable<string> Anchors() => Fence().Replace(Text, "").Split('\n').Where(line => line.StartsWith('#')).Select(Anchor);

    private static string Anchor(string heading)
    {
        var anchor = new StringBuilder();
        foreach (var character in heading.TrimStart('#').Trim().ToLowerInvariant())
            if (char.IsLetterOrDigit(character) || character is '-' or '_') anchor.Append(character);
            else if (character == ' ') anchor.Append('-');
        return anchor.ToString();
    }

    [GeneratedRegex(@"\]\(([^)\s]+)\)")]
    private static partial Regex Link();

    [GeneratedRegex(@"`([^`\n]+)`")]
    private static partial Regex Code();

    [GeneratedRegex(@"^```.*?^```", RegexOptions.Multiline | RegexOptions.Singleline)]
    private static partial Regex Fence();
}
