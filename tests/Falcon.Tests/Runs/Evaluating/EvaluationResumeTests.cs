using Falcon.Data;
using Falcon.Evaluation;
using Falcon.Evaluation.Metrics;
using Falcon.Runs.Evaluating;
using Falcon.Runtime;
using Falcon.Tests.Evaluation.Suites;

namespace Falcon.Tests.Runs.Evaluating;

/// <summary>
/// An interrupted evaluation continues where it stopped, with the numbers of an undisturbed one; what was scored for one model, data,
/// template or dtype serves no other.
/// </summary>
public sealed class EvaluationResumeTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public EvaluationResumeTests()
    {
        TinyModel.Write(_folder.At("model"), seed: 1, maxPositions: 512);
        TinyModel.Write(_folder.At("other"), seed: 2, maxPositions: 512);
        SuiteFolders.Lines(
            _folder.At("questions.jsonl"),
            Enumerable
                .Range(0, 300)
                .Select(i => new { question = $"Where is the lamp of the {i}th ship {new string('a', i % 50)}?", answer = $"in box {i}" })
        );
    }

    public void Dispose() => _folder.Dispose();

    private EvaluationSettings Settings(string result = "result.json") =>
        new(_folder.At("model"), ["qa"], _folder.At("questions.jsonl"), null, _folder.At(result))
        {
            Questions = new QuestionSettings(RougeSamples: 0, MaxNewTokens: 3),
            Device = "cpu",
            DType = "float32",
        };

    private string Log => _folder.At("result.json" + ExampleLog.Suffix);

    /// <summary>Stops once a stage has done this much, and keeps what was said.</summary>
    private sealed class StoppingLog(string stage, int after) : IRunLog, IDisposable
    {
        public CancellationTokenSource Source { get; } = new();

        public List<string> Said { get; } = [];

        public void Information(string message) => Said.Add(message);

        public void Warning(string message) => Said.Add(message);

        public void Progress(string name, int done, int total, string? status = null)
        {
            if (name.EndsWith(stage, StringComparison.Ordinal) && done >= after) Source.Cancel();
        }

        public void Dispose() => Source.Dispose();
    }

    private EvaluationResult Run(EvaluationSettings settings, out List<string> said)
    {
        using var log = new StoppingLog("nothing", 0);
        said = log.Said;
        return EvaluateRun.Execute(settings, log, TimeProvider.System, TestContext.Current.CancellationToken);
    }

    private void Interrupt(string stage)
    {
        using var log = new StoppingLog(stage, 1);
        Assert.ThrowsAny<OperationCanceledException>(() => EvaluateRun.Execute(Settings(), log, TimeProvider.System, log.Source.Token));
    }

    [Theory]
    [InlineData("likelihoods")]
    [InlineData("answers")]
    public void Interrupted_Continues_AndGivesTheSameNumbers(string stage)
    {
        var whole = Run(Settings("whole.json"), out _);
        Interrupt(stage);
        Assert.False(File.Exists(_folder.At("result.json")));
        var kept = File.ReadAllLines(Log).Length;
        Assert.InRange(kept, 1, 599);

        var continued = Run(Settings(), out var said);
        Assert.Contains(said, line =>
            line.StartsWith($"{kept} scored examples of the interrupted evaluation were used", StringComparison.Ordinal)
        );
        Assert.Equal(whole.Metrics, continued.Metrics);
        Assert.False(File.Exists(Log));
    }

    [Fact]
    public void CutOffLine_IsDroppedAndItsBatchScoredAgain()
    {
        var whole = Run(Settings("whole.json"), out _);
        Interrupt("likelihoods");
        var bytes = File.ReadAllBytes(Log);
        File.WriteAllBytes(Log, bytes[..^10]);
        Assert.Equal(whole.Metrics, Run(Settings(), out _).Metrics);
    }

    [Theory]
    [InlineData("model")]
    [InlineData("data")]
    [InlineData("template")]
    [InlineData("dtype")]
    [InlineData("settings")]
    public void Log_OfAnythingElse_IsNotUsed(string what)
    {
        Interrupt("likelihoods");
        var settings = Settings();
        if (what == "data") File.AppendAllText(_folder.At("questions.jsonl"), "{\"question\": \"q\", \"answer\": \"a\"}\n");
        settings = what switch
        {
            "model" => settings with { Model = _folder.At("other") },
            "template" => settings with { Form = new PromptForm { Template = new PromptTemplate("Q: {question}\nA:") } },
            "dtype" => settings with { DType = "bfloat16" },
            "settings" => settings with { Questions = settings.Questions with { MaxNewTokens = 2 } },
            _ => settings,
        };
        Run(settings, out var said);
        Assert.DoesNotContain(said, line =>
            line.Contains("scored examples of the interrupted evaluation were used", StringComparison.Ordinal)
        );
    }
}
