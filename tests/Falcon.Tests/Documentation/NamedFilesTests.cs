using System.Text.RegularExpressions;

namespace Falcon.Tests.Documentation;

/// <summary>Every file and heading that a page names is there.</summary>
public sealed partial class NamedFilesTests
{
    // Folders of the repository, so that a path that starts with one names a file of the clone.
    private static readonly string[] Roots = [".ci", "bench", "configs", "demo", "docs", "samples", "scripts", "src", "tests"];

    [Fact]
    public void Links_LeadToFilesAndHeadings()
    {
        List<string> wrong = [];
        var count = 0;
        foreach (var page in Page.All())
            foreach (var link in page.Links())
            {
                count++;
                var (file, anchor) = link.Split('#') is [var before, var after] ? (before, after) : (link, null);
                var target = file.Length == 0 ? page.Path : Path.GetFullPath(Path.Combine(page.Folder, file));
                if (!File.Exists(target) && !Directory.Exists(target)) wrong.Add($"{page.Name}: {link}");
                else if (anchor is not null)
                {
                    var name = Path.GetRelativePath(Fixtures.RepositoryRoot, target).Replace('\\', '/');
                    if (!new Page(name).Anchors().Contains(anchor)) wrong.Add($"{page.Name}: {link}, no such heading");
                }
            }

        Assert.Empty(wrong);
        Assert.True(count > 80, $"only {count} links were found");
    }

    [Fact]
    public void Paths_InBackquotes_AreThere()
    {
        var library = Path.Combine(Fixtures.RepositoryRoot, "src", "Falcon");
        var rooms = Directory.EnumerateDirectories(library).Select(path => Path.GetFileName(path)).ToHashSet();
        List<string> wrong = [];
        var count = 0;
        foreach (var page in Page.All().Where(page => !page.IsExperiment))
            foreach (var path in page.Quoted().Where(text => PlainPath().IsMatch(text)))
            {
                var first = path.Split('/')[0];
                var root = Roots.Contains(first) ? Fixtures.RepositoryRoot : rooms.Contains(first) ? library : null;
                if (root is null) continue;
                count++;
                var full = Path.Combine(root, path);
                if (!File.Exists(full) && !Directory.Exists(full)) wrong.Add($"{page.Name}: {path}");
            }

        Assert.Empty(wrong);
        Assert.True(count > 40, $"only {count} paths were found");
    }

    [Fact]
    public void SourceFiles_NamedWithoutFolder_AreThere()
    {
        var sources = new[] { "src", "tests", "samples", "bench" }
            .Select(folder => Path.Combine(Fixtures.RepositoryRoot, folder))
            .SelectMany(folder => Directory.EnumerateFiles(folder, "*.cs", SearchOption.AllDirectories))
            .Select(path => Path.GetFileName(path))
            .ToHashSet();
        Assert.All(
            Page.All()
                .Where(page => !page.IsExperiment)
                .SelectMany(page => page.Quoted().Where(text => SourceName().IsMatch(text)).Select(name => (page.Name, File: name))),
            named => Assert.True(sources.Contains(named.File), $"{named.Name}: {named.File}")
        );
    }

    [GeneratedRegex(@"^[\w.-]+(/[\w.-]+)+/?$")]
    private static partial Regex PlainPath();

    [GeneratedRegex(@"^\w+\.cs$")]
    private static partial Regex SourceName();
}
