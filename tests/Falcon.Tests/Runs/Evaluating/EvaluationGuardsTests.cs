using System.Text.Json;
using Falcon.Data;
using Falcon.Evaluation;
using Falcon.Evaluation.Metrics;
using Falcon.Results;
using Falcon.Runs.Evaluating;
using Falcon.Runtime;
using Falcon.Tests.Evaluation.Suites;

namespace Falcon.Tests.Runs.Evaluating;

/// <summary>The prompt template of the run that made a model, and the warnings about numbers that mean nothing.</summary>
public sealed class EvaluationGuardsTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public EvaluationGuardsTests()
    {
        TinyModel.Write(_folder.At("start"), seed: 1, maxPositions: 256);
        TinyModel.Write(_folder.At("run", "model"), seed: 1, maxPositions: 256);
        TinyModel.Write(_folder.At("changed", "model"), seed: 2, maxPositions: 256);
        foreach (var run in new[] { "run", "changed" })
            File.WriteAllText(
                _folder.At(run, "config.json"),
                JsonSerializer.Serialize(
                    new
                    {
                        model = _folder.At("start"),
                        data = new
                        {
                            template = new
                            {
                                question = "Q: {question}\nA:",
                                answer = " {answer}",
                                endOfText = false,
                            },
                        },
                    }
                )
            );
        SuiteFolders.Lines(
            _folder.At("questions.jsonl"),
            Enumerable.Range(0, 12).Select(i => new { question = $"Where is lamp {i}?", answer = $"in box {i}" })
        );
    }

    public void Dispose() => _folder.Dispose();

    private EvaluationSettings Settings(params string[] model) =>
        new(_folder.At(model), ["qa"], _folder.At("questions.jsonl"), null, _folder.At("result.json"))
        {
            Questions = new QuestionSettings(MaxNewTokens: 3),
            Device = "cpu",
            DType = "float32",
        };

    private static EvaluationResult Run(EvaluationSettings settings) =>
        EvaluateRun.Execute(settings, SilentRunLog.Instance, TimeProvider.System, TestContext.Current.CancellationToken);

    [Fact]
    public void Template_OfTheRun_IsUsed_UnlessOneIsGiven()
    {
        var own = Run(Settings("run", "model"));
        Assert.Equal(("Q: {question}\nA:", false), (own.Form.Template.Question, own.Form.Template.EndOfText));
        Assert.EndsWith(Path.Combine("run", "config.json"), own.FormSource, StringComparison.Ordinal);
        Assert.Equal(("auto", new PromptTemplate()), (Run(Settings("start")).FormSource, Run(Settings("start")).Form.Template));
        Assert.Equal("given", Run(Settings("run", "model") with { Form = new PromptForm() }).FormSource);
        Assert.NotEqual(own.Metrics, Run(Settings("start")).Metrics);
    }

    [Fact]
    public void Template_OfADamagedConfiguration_IsNamed()
    {
        File.WriteAllText(_folder.At("run", "config.json"), "{\"data\":");
        Assert.Contains(
            "config.json",
            Assert.Throws<UserInputException>(() => Run(Settings("run", "model"))).Message,
            StringComparison.Ordinal
        );
    }

    [Fact]
    public void UnchangedWeights_AreWarnedOf_FromTheRunAlone()
    {
        Assert.Contains(Run(Settings("run", "model")).Warnings, warning =>
            warning.Contains("nothing was unlearned", StringComparison.Ordinal)
        );
        Assert.DoesNotContain(Run(Settings("changed", "model")).Warnings, warning =>
            warning.Contains("nothing was unlearned", StringComparison.Ordinal)
        );
    }

    [Fact]
    public void IdenticalNumbers_OfOtherWeights_AreWarnedOf()
    {
        var model = EvaluatedModel.Of(_folder.At("start"), TestContext.Current.CancellationToken);
        var other = model with { Sha256 = new string('0', 64), Path = "before" };
        SuiteMeasurement[] values =
        [
            new(
                "qa",
                "",
                "",
                "",
                new Dictionary<string, MetricValue> { ["a"] = new(0.5, null, null, "higher", null, 1) },
                new Dictionary<string, IReadOnlyList<double>>()
            ),
        ];
        SuiteMeasurement[] others =
        [
            values[0] with
            {
                Metrics = new Dictionary<string, MetricValue> { ["a"] = new(0.6, null, null, "higher", null, 1) },
            },
        ];
        Assert.Contains(
            "every metric is identical",
            Assert.Single(BaselineGuards.Unchanged(model, other, "the model before", values, values)),
            StringComparison.Ordinal
        );
        Assert.Empty(BaselineGuards.Unchanged(model, other, "the model before", values, others));
    }

    [Fact]
    public void StartModelWithoutKnowledge_IsWarnedOf()
    {
        SuiteFolders.Muse(_folder.At("muse"));
        var result = Run(Settings("changed", "model") with { Suites = ["muse"], Data = _folder.At("muse"), Before = _folder.At("start") });
        // Random weights know nothing.
        Assert.Contains(result.Warnings, warning => warning.Contains("knew nothing of the forget set", StringComparison.Ordinal));
        Assert.NotNull(result.Before);
        Assert.NotEmpty(result.BeforeMeasurements);
    }

    [Fact]
    public void ConstantAndEmptyAnswers_AreWarnedOf()
    {
        Assert.Contains(
            "constant output, 9 of 10",
            Assert.Single(AnswerGuards.OfTexts("set", [.. Enumerable.Repeat("the the", 9), "other"])),
            StringComparison.Ordinal
        );
        Assert.Contains(
            "2 of 10 answers are empty",
            Assert.Single(AnswerGuards.OfTexts("set", ["", " ", .. Enumerable.Range(0, 8).Select(i => $"{i}")])),
            StringComparison.Ordinal
        );
        Assert.Empty(AnswerGuards.OfTexts("set", [.. Enumerable.Range(0, 8).Select(i => $"{i}")]));
        Assert.Contains(
            "the letter B",
            Assert.Single(AnswerGuards.OfLetters("set", [.. Enumerable.Repeat(1, 20)])),
            StringComparison.Ordinal
        );
        Assert.Empty(AnswerGuards.OfLetters("set", [.. Enumerable.Range(0, 20).Select(i => i % 4)]));
    }
}
