using System.Text.RegularExpressions;

namespace Falcon.Tests.Documentation;

/// <summary>Size, width and words of the pages, and the index of the experiments.</summary>
public sealed partial class PagesTests
{
    private static readonly Page Readme = new("README.md");

    [Fact]
    public void Readme_FitsOnTwoScreens_AndShowsTheTestCommand()
    {
        Assert.InRange(Readme.Lines.Length, 40, 120);
        Assert.Contains("\n```\ndotnet test -c Release\n```\n", Readme.Text.ReplaceLineEndings("\n"), StringComparison.Ordinal);
    }

    [Fact]
    public void Readme_ItsTree_IsThatOfTheRepository()
    {
        var tree = Readme.Lines.SkipWhile(line => line != "```text").Skip(1).TakeWhile(line => line != "```").ToList();
        var rooms = tree.Where(line => line.StartsWith("  ", StringComparison.Ordinal)).Select(line => line.Trim().Split('/')[0]);
        var library = Path.Combine(Fixtures.RepositoryRoot, "src", "Falcon");
        Assert.Equal(
            Directory
                .EnumerateDirectories(library)
                .Select(path => Path.GetFileName(path))
                .Where(name => name is not ("bin" or "obj"))
                .Order(StringComparer.Ordinal),
            rooms.Order(StringComparer.Ordinal)
        );
        Assert.All(
            tree.Where(line => !line.StartsWith(' ')),
            line => Assert.True(Directory.Exists(Path.Combine(Fixtures.RepositoryRoot, line.Split(' ')[0])), line)
        );
    }

    [Fact]
    public void Results_AreAScreenAQuestion() => Assert.InRange(new Page("docs/results.md").Lines.Length, 60, 150);

    [Fact]
    public void Lines_HaveAtMost200Columns() =>
        Assert.All(
            Page.All().SelectMany(page => page.Lines.Select((line, i) => (Place: $"{page.Name}:{i + 1}", line.Length))),
            line => Assert.True(line.Length <= 200, $"{line.Place} has {line.Length} columns")
        );

    [Fact]
    public void Words_AreThoseOfTheField() =>
        Assert.Empty(Page.All().SelectMany(page => OddWords().Matches(page.Text).Select(match => $"{page.Name}: {match.Value}")));

    [Fact]
    public void Pages_NameNoMachineAndNoRegistry() =>
        Assert.Empty(Page.All().SelectMany(page => Private().Matches(page.Text).Select(match => $"{page.Name}: {match.Value}")));

    [Fact]
    public void Experiments_EveryRecord_HasALineInTheIndex_WithItsVerdict()
    {
        var index = Entry().Matches(new Page("docs/experiments/README.md").Text);
        var listed = index.Select(entry => (File: entry.Groups[2].Value, Date: entry.Groups[1].Value, Negative: entry.Groups[3].Success));
        var records = Page.All()
            .Where(page => page.IsExperiment && !page.Name.EndsWith("/README.md", StringComparison.Ordinal))
            .Select(page =>
            {
                var file = Path.GetFileName(page.Path);
                Assert.StartsWith("# ", page.Lines[0], StringComparison.Ordinal);
                Assert.StartsWith(file[..10], page.Lines[2], StringComparison.Ordinal);
                var negative = page.Lines[2].StartsWith(file[..10] + " (negative): ", StringComparison.Ordinal);
                return (File: file, Date: file[..10], Negative: negative);
            });
        Assert.Equal(records.Order(), listed.Order());
    }

    [GeneratedRegex(@"by heart|built anew|stands? in for|\bforetell", RegexOptions.IgnoreCase)]
    private static partial Regex OddWords();

    [GeneratedRegex(@"(?<![\w.])/(?:home|root|work|tmp|Users)/\w|nuget\.org|pypi\.org|npmjs\.|pkgs\.dev\.azure|artifactory")]
    private static partial Regex Private();

    [GeneratedRegex(@"^\* (\d{4}-\d\d-\d\d): \[[^\]]+\]\(([^)]+)\)\s+(\(negative\))?", RegexOptions.Multiline)]
    private static partial Regex Entry();
}
