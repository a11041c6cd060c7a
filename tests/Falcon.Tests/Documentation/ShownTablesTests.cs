using Falcon.Research.Tables;

namespace Falcon.Tests.Documentation;

/// <summary>The tables of the pages are those of the committed results.</summary>
public sealed class ShownTablesTests
{
    [Fact]
    public void Tables_ShowWhatIsInBenchResults()
    {
        var result = TablePages.Update(Fixtures.RepositoryRoot, check: true);
        Assert.Empty(result.Tables.Where(table => table.Changed).Select(table => $"{table.Page}: {table.Name}; run ./falcon bench tables"));
        Assert.Contains(result.Tables, table => table.Page == "README.md");
    }

    [Theory]
    [InlineData("README.md")]
    [InlineData("docs/results.md")]
    public void Tables_OfThePage_AllComeFromResults(string page)
    {
        var isResult = false;
        foreach (var line in new Page(page).Lines)
        {
            if (line.StartsWith("<!-- table ", StringComparison.Ordinal)) isResult = true;
            if (line == "<!-- /table -->") isResult = false;
            Assert.True(isResult || !line.StartsWith('|'), $"{page}: a table without a result: {line}");
        }
    }

    [Fact]
    public void Methods_HaveTheirMarks()
    {
        var text = new Page("docs/baselines.md").Text;
        Assert.InRange(
            text.IndexOf("<!-- table method-notes -->", StringComparison.Ordinal),
            text.IndexOf("<!-- table methods -->", StringComparison.Ordinal) + 1,
            text.Length
        );
    }
}
