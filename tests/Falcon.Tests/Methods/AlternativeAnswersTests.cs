using System.Text.Json;
using Falcon.Evaluation;
using Falcon.Runs;
using Falcon.Runs.Configuration;
using Falcon.Runtime;
using Falcon.Tests.Runs;

namespace Falcon.Tests.Methods;

/// <summary>The answers that altpo lets the model make itself, and the multiplier of pdu, in whole runs.</summary>
public sealed class AlternativeAnswersTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private UnlearnConfig Config(string method, int steps)
    {
        var preset = UnlearnConfig.Of(method);
        return preset with
        {
            Model = TinyCheckpoint.Write(_folder.At("source")),
            Data = preset.Data with
            {
                Forget = [TinyCheckpoint.Questions(_folder.At("forget.jsonl"), "forgotten")],
                Retain = [TinyCheckpoint.Questions(_folder.At("retain.jsonl"), "kept")],
                BatchSize = 4,
            },
            Evaluation = new EvaluationConfig { Samples = 0 },
            Steps = steps,
            Seed = 3,
        };
    }

    [Theory]
    [InlineData("altpo")]
    [InlineData("pdu")]
    public void Execute_Interrupted_ResumesToTheSameBytes(string method)
    {
        var config = ConfigFile.Read(null, method == "pdu" ? ["objective.retain.lossLimit.warmupEpochs=0"] : [], Config(method, 6));
        UnlearnRun.Execute(config, _folder.At("whole"), resume: false, RunContext.Quiet);
        using var source = new CancellationTokenSource();
        var stopped = RunContext.Quiet with { Log = new StopAtStep(3, source), Cancellation = source.Token };
        Assert.Throws<OperationCanceledException>(() => UnlearnRun.Execute(config, _folder.At("cut"), resume: false, stopped));
        var made = _folder.At("cut.partial", "alternatives.jsonl");
        var before = File.Exists(made) ? File.ReadAllText(made) : null;
        UnlearnRun.Execute(config, _folder.At("cut"), resume: true, RunContext.Quiet);

        Assert.Equal(
            File.ReadAllBytes(_folder.At("whole", "model", "model.safetensors")),
            File.ReadAllBytes(_folder.At("cut", "model", "model.safetensors"))
        );
        if (method == "altpo") Assert.Equal(before, File.ReadAllText(_folder.At("cut", "alternatives.jsonl")));
        else
            Assert.All(
                new[] { "whole", "cut" },
                run => Assert.Equal(6, Multipliers(run).Distinct().Count()) // it moves in every step
            );
    }

    [Fact]
    public void Execute_AltPo_KeepsOtherAnswersThanTheTrueOnes()
    {
        UnlearnRun.Execute(Config("altpo", 2), _folder.At("run"), resume: false, RunContext.Quiet);
        var lines = File.ReadLines(_folder.At("run", "alternatives.jsonl")).Select(line => JsonDocument.Parse(line).RootElement).ToList();
        var questions = File.ReadLines(_folder.At("forget.jsonl")).Select(line => JsonDocument.Parse(line).RootElement).ToList();

        var texts = lines.Select(line => line.GetProperty("text").GetString()!).ToList();
        Assert.Equal(texts.Count, lines.Select(line => line.GetProperty("tokens").GetRawText()).Distinct().Count());
        Assert.InRange(texts.Count, questions.Count, 5 * questions.Count);
        foreach (var question in questions)
        {
            var (asked, answer) = (question.GetProperty("question").GetString()!, question.GetProperty("answer").GetString()!);
            var own = texts.Where(text => text.Contains(asked, StringComparison.Ordinal)).ToList();
            Assert.NotEmpty(own);
            Assert.DoesNotContain(own, text => text.EndsWith(answer, StringComparison.Ordinal));
        }
    }

    [Fact]
    public void Execute_AltPoOnPlainText_IsRefused()
    {
        File.WriteAllText(_folder.At("plain.txt"), "A text without a question.\nAnother one.\n");
        var config = Config("altpo", 2);
        config = config with { Data = config.Data with { Forget = [_folder.At("plain.txt")] } };
        var error = Assert.Throws<UserInputException>(() =>
            UnlearnRun.Execute(config, _folder.At("run"), resume: false, RunContext.Quiet)
        );
        Assert.Contains("plain.txt: the method gives other answers to questions", error.Message, StringComparison.Ordinal);
    }

    private List<double> Multipliers(string run) =>
        [
            .. File.ReadLines(_folder.At(run, "metrics.jsonl"))
                .Select(line =>
                    JsonDocument.Parse(line).RootElement.GetProperty("measures").GetProperty("lossLimit.multiplier").GetDouble()
                ),
        ];
}
