using System.Text.Json;

namespace Falcon.Tests.Cli;

/// <summary>The options of <c>evaluate</c> that decide how questions are put.</summary>
public sealed class EvaluateCommandTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly string _model;
    private readonly string _questions;

    public EvaluateCommandTests()
    {
        _model = TinyCheckpoint.Write(_folder.At("run", "model"));
        File.WriteAllText(
            _folder.At("run", "config.json"),
            """{"data": {"template": {"question": "Q: {question}\nA:", "answer": " {answer}", "endOfText": true}}}"""
        );
        _questions = TinyCheckpoint.Questions(_folder.At("questions.jsonl"), "kept", 6);
    }

    public void Dispose() => _folder.Dispose();

    private CommandRun Evaluate(params string[] more) =>
        CommandRun.Of([
            "evaluate",
            "--model",
            _model,
            "--suite",
            "qa",
            "--data",
            _questions,
            "--out",
            _folder.At("result.json"),
            "--device",
            "cpu",
            "--json",
            "--set",
            "maxNewTokens=3",
            .. more,
        ]);

    [Fact]
    public void Template_OfTheRun_CanBeChangedInPart()
    {
        using var own = JsonDocument.Parse(Evaluate().Output);
        Assert.EndsWith("config.json", own.RootElement.GetProperty("formSource").GetString(), StringComparison.Ordinal);
        using var changed = JsonDocument.Parse(Evaluate("--set", "template.endOfText=false").Output);
        Assert.Equal("--set", changed.RootElement.GetProperty("formSource").GetString());
        var template = changed.RootElement.GetProperty("form").GetProperty("template");
        Assert.Equal("Q: {question}\nA:", template.GetProperty("question").GetString());
        Assert.False(template.GetProperty("endOfText").GetBoolean());
        Assert.False(changed.RootElement.GetProperty("reused").GetBoolean());
    }

    [Theory]
    [InlineData("leakTemperature=0", "leakTemperature must be above 0")]
    [InlineData("template.question=bare", "{question} occurs 0 times")]
    [InlineData("shot=1", "shot")]
    public void WrongSettings_AreNamed(string set, string expected)
    {
        var run = Evaluate("--set", set);
        Assert.Equal(2, run.ExitCode);
        Assert.Contains(expected, Assert.Single(run.Errors), StringComparison.Ordinal);
    }
}
