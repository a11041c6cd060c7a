using System.Text.Json.Nodes;
using Falcon.Data;
using Falcon.Evaluation;
using Falcon.Evaluation.Metrics;
using Falcon.Layers;
using Falcon.Runs;
using Falcon.Runs.Configuration;
using Falcon.Runs.Evaluating;
using Falcon.Runtime;
using Falcon.Tests.Cli;

namespace Falcon.Tests.Runs;

/// <summary>The prompt form of a run: recorded with its date, kept by a resumed run, and used by what follows the run.</summary>
public sealed class PromptFormRunTests : IDisposable
{
    private const string Dated =
        "{{ strftime_now('%Y-%m-%d') }}{% for m in messages %}<s>{{ m.role }}\n{{ m.content }}<|turn|>\n{% endfor %}"
        + "{% if add_generation_prompt %}<s>assistant\n{% endif %}";

    private readonly TemporaryFolder _folder = new();
    private readonly UnlearnConfig _config;

    public PromptFormRunTests() =>
        _config = UnlearnConfig.FromPreset("falcon") with
        {
            Model = TinyCheckpoint.Write(_folder.At("source"), chatTemplate: Dated),
            Data = new DataSettings
            {
                Forget = [TinyCheckpoint.Questions(_folder.At("forget.jsonl"), "forgotten")],
                Retain = [TinyCheckpoint.Questions(_folder.At("retain.jsonl"), "kept")],
                BatchSize = 2,
            },
            Layers = new LayerSettings { Target = 2, Trained = 2 },
            Steps = 6,
        };

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Execute_ResumedAfterMidnight_KeepsTheDateAndGivesTheSameBytes()
    {
        var (evening, morning) = (new DayClock(2026, 1, 31), new DayClock(2026, 2, 1));
        var whole = UnlearnRun.Execute(_config, _folder.At("whole"), resume: false, RunContext.Quiet with { Clock = evening });
        Assert.Equal((FormKind.Chat, new DateOnly(2026, 1, 31)), (whole.Form!.Kind, whole.Form.Date));
        Assert.Equal(
            "2026-01-31",
            JsonNode.Parse(File.ReadAllText(_folder.At("whole", "config.json")))!["data"]!["date"]!.GetValue<string>()
        );

        using var source = new CancellationTokenSource();
        var context = RunContext.Quiet with { Clock = evening, Log = new StopAtStep(3, source), Cancellation = source.Token };
        Assert.Throws<OperationCanceledException>(() => UnlearnRun.Execute(_config, _folder.At("cut"), resume: false, context));
        UnlearnRun.Execute(_config, _folder.At("cut"), resume: true, RunContext.Quiet with { Clock = morning });
        byte[] Weights(string run) => File.ReadAllBytes(_folder.At(run, "model", "model.safetensors"));
        Assert.Equal(Weights("whole"), Weights("cut"));

        UnlearnRun.Execute(_config, _folder.At("later"), resume: false, RunContext.Quiet with { Clock = morning });
        Assert.NotEqual(Weights("whole"), Weights("later")); // the template prints the day
    }

    [Fact]
    public void Evaluate_TheModelOfARun_AsksInItsForm_UnlessAnotherIsGiven()
    {
        UnlearnRun.Execute(
            _config with
            {
                Data = _config.Data with { System = "Be brief." },
            },
            _folder.At("run"),
            resume: false,
            RunContext.Quiet with
            {
                Clock = new DayClock(2026, 1, 31),
            }
        );
        EvaluationResult Run(PromptForm? form = null) =>
            EvaluateRun.Execute(
                new EvaluationSettings(_folder.At("run", "model"), ["qa"], _folder.At("forget.jsonl"), null, _folder.At("result.json"))
                {
                    Questions = new QuestionSettings(MaxNewTokens: 2),
                    Form = form,
                    Device = "cpu",
                    DType = "float32",
                },
                SilentRunLog.Instance,
                new DayClock(2026, 5, 5),
                TestContext.Current.CancellationToken
            );
        var own = Run();
        Assert.Equal(("Be brief.", new DateOnly(2026, 1, 31)), (own.Form.System, own.Form.Date));
        Assert.EndsWith(Path.Combine("run", "config.json"), own.FormSource, StringComparison.Ordinal);
        Assert.True(Run().Reused);
        var plain = Run(new PromptForm { Kind = FormKind.Plain });
        Assert.False(plain.Reused);
        Assert.NotEqual(own.Metrics["Q_A_Prob"].Value, plain.Metrics["Q_A_Prob"].Value);
        Assert.False(Run(new PromptForm()).Reused); // another day, another prompt
    }

    [Fact]
    public void Generate_Chat_IsTheUsersTurnAndStopsAtItsEnd()
    {
        string[] arguments =
        [
            "generate",
            "--model",
            _config.Model,
            "--prompt",
            "Hi",
            "--date",
            "2026-01-31",
            "--max-tokens",
            "3",
            "--device",
            "cpu",
            "--json",
        ];
        var chat = CommandRun.Of([.. arguments, "--chat"]);
        Assert.True(chat.ExitCode == 0, string.Join('\n', chat.Errors));
        var result = JsonNode.Parse(chat.Output)!;
        var tokenizer = Falcon.Tokenization.HfTokenizer.Load(_config.Model);
        Assert.Equal(
            tokenizer.Encode("2026-01-31<s>user\nHi<|turn|>\n<s>assistant\n", addSpecialTokens: false),
            result["promptTokens"]!.AsArray().Select(id => id!.GetValue<int>())
        );
        Assert.Contains(result["stop"]!.GetValue<string>(), new[] { "end token", "length" });
        Assert.Contains(tokenizer.TokenId("<|turn|>")!.Value, tokenizer.StopIds([]));
        var refused = CommandRun.Of([.. arguments, "--chat", "--form", "plain"]);
        Assert.Equal(2, refused.ExitCode);
    }

    /// <summary>Noon of a day.</summary>
    private sealed class DayClock(int year, int month, int day) : TimeProvider
    {
        public override TimeZoneInfo LocalTimeZone => TimeZoneInfo.Utc;

        public override DateTimeOffset GetUtcNow() => new(year, month, day, 12, 0, 0, TimeSpan.Zero);
    }
}
