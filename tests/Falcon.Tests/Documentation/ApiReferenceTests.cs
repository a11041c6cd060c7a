using Falcon.Runtime;

namespace Falcon.Tests.Documentation;

/// <summary>
/// docs/api is what the doc comments say. With FALCON_WRITE_API=1 the pages are written anew instead (scripts/api-reference.sh).
/// </summary>
public class ApiReferenceTests
{
    [Fact]
    public void Pages_AreThoseOfTheDocComments()
    {
        var folder = Path.Combine(Fixtures.RepositoryRoot, "docs", "api");
        var pages = new ApiReference(typeof(RunDirectory).Assembly, Path.Combine(AppContext.BaseDirectory, "Falcon.xml")).Pages();
        if (Environment.GetEnvironmentVariable("FALCON_WRITE_API") == "1")
        {
            if (Directory.Exists(folder)) Directory.Delete(folder, recursive: true);
            foreach (var (name, text) in pages) OutputFile.Write(Path.Combine(folder, name), text);
            return;
        }

        var remedy = "run scripts/api-reference.sh and commit docs/api";
        Assert.True(
            Directory.Exists(folder)
                && pages.Keys.SequenceEqual(
                    Directory.EnumerateFiles(folder).Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal)
                ),
            remedy
        );
        foreach (var (name, text) in pages)
            Assert.True(
                File.ReadAllText(Path.Combine(folder, name)) == text,
                $"docs/api/{name} is not what the doc comments say: {remedy}"
            );
    }

    [Fact]
    public void Pages_HoldMembersWithTheirComments()
    {
        var page = new ApiReference(typeof(RunDirectory).Assembly, Path.Combine(AppContext.BaseDirectory, "Falcon.xml")).Pages()[
            "Falcon.Runtime.md"
        ];
        const string Summary = "The output directory of a run, which appears whole or not at all.";
        Assert.Contains($"## RunDirectory\n\n`class RunDirectory`\n\n{Summary}", page, StringComparison.Ordinal);
        Assert.Contains("### `static RunDirectory Create(string path, bool resume = …)`", page, StringComparison.Ordinal);
        Assert.Contains("* throws `UserInputException`: ", page, StringComparison.Ordinal);
        Assert.Contains("`static string OfFile(string path, CancellationToken cancellation = …)`", page, StringComparison.Ordinal);
    }
}
