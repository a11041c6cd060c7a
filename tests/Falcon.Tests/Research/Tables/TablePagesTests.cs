using Falcon.Research.Tables;
using Falcon.Runtime;
using Falcon.Tests.Cli;

namespace Falcon.Tests.Research.Tables;

public sealed class TablePagesTests : IDisposable
{
    private const string Manual = """
        {"title": "t", "columns": ["", "before"], "rows": [["forget", "1.0"], ["keep", ""]], "command": ["c"], "date": "2026-11-29"}
        """;

    private const string Written = "| | before |\n| --- | ---: |\n| forget | 1.0 |\n| keep | |\n";

    private readonly TemporaryFolder _root = new();

    public void Dispose() => _root.Dispose();

    [Fact]
    public void Update_AMarkedTable_IsWrittenAndThenTheSame()
    {
        Result("one", Manual);
        Page("README.md", "a\n<!-- table one -->\nold\n<!-- /table -->\nb\n");

        Assert.Equal([new ShownTable("README.md", "one", Changed: true)], TablePages.Update(_root.Path, check: false).Tables);

        Assert.Equal($"a\n<!-- table one -->\n{Written}<!-- /table -->\nb\n", File.ReadAllText(_root.At("README.md")));
        Assert.Equal([new ShownTable("README.md", "one", Changed: false)], TablePages.Update(_root.Path, check: true).Tables);
    }

    [Fact]
    public void Update_Check_LeavesThePage()
    {
        Result("one", Manual);
        var text = "<!-- table one -->\n<!-- /table -->";
        Page("docs/results.md", text);
        Assert.True(TablePages.Update(_root.Path, check: true).Tables.Single().Changed);
        Assert.Equal(text, File.ReadAllText(_root.At("docs", "results.md")));
    }

    [Fact]
    public void Update_League_ShowsThoseThatKeepTheUtility()
    {
        // Ratios and digits by hand: 0.9 / 0.96 = 0.9375; 4.02e-6 has one digit after rounding to two.
        Result(
            "league",
            """
            {"rows": [
              {"method": "a", "forgetQuality": 0.1421, "utilityRatio": 0.98, "answers": 0.0158,
               "forgetQualitySpread": {"low": 4.02e-06, "high": 0.92}, "utilityRatioSpread": {"low": 0.98, "high": 0.98}, "seeds": 3},
              {"method": "b", "forgetQuality": 0.2, "utilityRatio": 0.96, "answers": 0.1, "seeds": 3},
              {"method": "c", "forgetQuality": null, "utilityRatio": null, "answers": null, "seeds": 0}],
             "start": {"forgetting": 0, "answers": 1, "utility": 0.96},
             "ceiling": {"forgetting": 0.5, "answers": 0.25, "utility": 0.9}, "utilityFloor": 0.97}
            """
        );
        Page("README.md", "<!-- table league -->\n<!-- /table -->\n");
        TablePages.Update(_root.Path, check: false);
        var rows = File.ReadAllLines(_root.At("README.md"))[3..^1];
        Assert.Equal(
            [
                "| a second retrained model (the ceiling) | 0.5 | 0.938 | 0.250 | |",
                "| `a` | 0.14 (4e-6 to 0.92) | 0.980 | 0.016 | 3 |",
                "| before | 0 | 1 | 1.000 | |",
            ],
            rows
        );
    }

    [Fact]
    public void Update_SeveralEngineResults_AreOneTable()
    {
        foreach (var (name, baseline) in new[] { ("x", "9.5"), ("y", "null") })
            Result(
                name,
                $$$"""
                {"shape": "{{{name}}}", "stepSeconds": {"baseline": {{{baseline}}}, "uncached": 2, "cached": 1},
                 "stepRatio": {"uncached": 4.75, "cached": 9.5}, "predictedRatio": {"uncached": 4.5, "cached": 10},
                 "peakBytes": {"baseline": null, "engine": 3000000000, "streamed": 12500000000},
                 "settings": {"layers": "6", "batch": "4", "length": "512"}, "environment": {"dType": "Float32"}}
                """
            );
        Page("README.md", "<!-- table x y -->\n<!-- /table -->\n");
        TablePages.Update(_root.Path, check: false);
        var rows = File.ReadAllLines(_root.At("README.md"))[3..^1];
        Assert.Equal(
            "| x, 6 layers, 4 x 512 tokens, float32 | 9.50 | 2.00 | 1.00 | 4.75 (4.50) | 9.50 (10.0) | not measured | 3.00 | 12.5 |",
            rows[0]
        );
        Assert.StartsWith("| y, 6 layers, 4 x 512 tokens, float32 | not measured | 2.00", rows[1], StringComparison.Ordinal);
    }

    [Fact]
    public void Update_Layers_AreColumnsOfMeans()
    {
        Result(
            "layers",
            """{"layers": [{"information": [1, 2], "forgetEffect": [0.1, 0.3]}, {"information": [3], "forgetEffect": [0.5]}]}"""
        );
        Page("README.md", "<!-- table layers -->\n<!-- /table -->\n");
        TablePages.Update(_root.Path, check: false);
        Assert.Equal(
            [
                "| layer | 0 | 1 |",
                "| --- | ---: | ---: |",
                "| mutual information | 1.5 | 3.0 |",
                "| forget effect, nats a token | 0.200 | 0.500 |",
            ],
            File.ReadAllLines(_root.At("README.md"))[1..^1]
        );
    }

    [Theory]
    [InlineData("<!-- table one -->\n", "no '<!-- /table -->' after it")]
    [InlineData("<!-- table two -->\n<!-- /table -->\n", "two.json is missing")]
    [InlineData("<!-- table three -->\n<!-- /table -->\n", "row 1 has 1 cells")]
    [InlineData("<!-- table four -->\n<!-- /table -->\n", "has no 'layers'")]
    [InlineData("<!-- table five -->\n<!-- /table -->\n", "no JSON object")]
    public void Update_WhatCannotBeShown_IsNamed(string text, string expected)
    {
        Result("one", Manual);
        Result("three", """{"columns": ["", "x"], "rows": [["a"]]}""");
        Result("four", "{}");
        Result("five", "[");
        Page("README.md", text);
        Assert.Contains(
            expected,
            Assert.Throws<UserInputException>(() => TablePages.Update(_root.Path, check: true)).Message,
            StringComparison.Ordinal
        );
    }

    [Fact]
    public void Verb_Check_EndsWithTwoWhereATableDiffers()
    {
        Result("one", Manual);
        Page("README.md", "<!-- table one -->\n<!-- /table -->\n");
        string[] verb = ["bench", "tables", "--root", _root.Path];
        var checkedBefore = CommandRun.Of([.. verb, "--check"]);
        Assert.Equal(2, checkedBefore.ExitCode);
        Assert.Contains("README.md: one", checkedBefore.Errors.Single(), StringComparison.Ordinal);
        Assert.Equal(0, CommandRun.Of(verb).ExitCode);
        Assert.Equal(0, CommandRun.Of([.. verb, "--check"]).ExitCode);
    }

    [Fact]
    public void Update_NoRepository_IsSaid() =>
        Assert.Contains(
            "--root",
            Assert.Throws<UserInputException>(() => TablePages.Update(_root.Path, check: true)).Message,
            StringComparison.Ordinal
        );

    private void Result(string name, string json) => Write(_root.At("bench", "results", name + ".json"), json);

    private void Page(string name, string text)
    {
        Directory.CreateDirectory(_root.At("docs"));
        Write(_root.At("README.md"), "");
        Write(_root.At(name.Split('/')), text);
    }

    private static void Write(string path, string text)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(path, text);
    }
}
