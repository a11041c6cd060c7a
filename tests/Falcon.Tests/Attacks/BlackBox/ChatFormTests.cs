using System.Text.Json.Nodes;
using Falcon.Attacks.Protocol;
using Falcon.Checkpoints;
using Falcon.Data;
using Falcon.Evaluation;
using Falcon.Results;
using Falcon.Runtime;
using Falcon.Tests.Attacks.Protocol;
using Falcon.Tests.Cli;
using Falcon.Tokenization;
using static TorchSharp.torch;

namespace Falcon.Tests.Attacks.BlackBox;

/// <summary>
/// Attacks on a model that is asked in its chat template: the rendered chat as it is, one begin token, the turn's own end.
/// </summary>
public sealed class ChatFormTests : IDisposable
{
    private const string Template =
        "<s>{% for m in messages %}<{{ m.role }}>{{ m.content | trim }}<|turn|>\n{% endfor %}"
        + "{% if add_generation_prompt %}<assistant>{% endif %}";

    private readonly TemporaryFolder _folder = new();
    private readonly string _directory;

    public ChatFormTests() => _directory = TinyCheckpoint.Write(_folder.At("model"), chatTemplate: Template);

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Sequences_InChatForm_AreTheRenderedChat()
    {
        var (loaded, data, settings) = Open(out var weights);
        using var owned = weights;
        var scoring = new AttackScoring(loaded, data, settings);
        var item = data.Test[0];
        string[] Texts(ScoringPass pass) => [.. scoring.Sequences(item, pass).Select(one => loaded.Tokenizer.Decode(one.Tokens))];
        string[] Answers(ScoringPass pass) =>
            [.. scoring.Sequences(item, pass).Select(one => loaded.Tokenizer.Decode(one.Tokens[one.Start..]))];

        Assert.Equal($"<s><user>{item.Question}<|turn|>\n<assistant>{item.Choices[0]}<|turn|>", Texts(new())[0]);
        Assert.Equal(item.Choices.Select(choice => choice + "<|turn|>"), Answers(new()));
        Assert.Equal(["A", "B", "C"], Answers(new ScoringPass { Form = AnswerForm.Letter }));
        Assert.Equal(
            $"<s><user>{item.Question}<|turn|>\n<assistant>Of course. {item.Choices[0]}<|turn|>",
            Texts(new ScoringPass { Opening = "Of course." })[0]
        );
        Assert.Equal(item.Choices.Select(choice => $" {choice}<|turn|>"), Answers(new ScoringPass { Opening = "Of course." }));
        Assert.Equal(
            $"<s><user>q1<|turn|>\n<assistant>a1<|turn|>\n<user>A text.\n\nBe exact. {item.Question}<|turn|>\n"
                + $"<assistant>{item.Choices[0]}<|turn|>",
            Texts(
                new ScoringPass
                {
                    Asked = one =>
                        new(one.Question)
                        {
                            Before = "Be exact. ",
                            Examples = [new CorpusRecord("q1", "a1", null, 1), new CorpusRecord(null, null, "A text.", 2)],
                        },
                }
            )[0]
        );

        // What an attacker types stands in the user's turn.
        var prefix = loaded.Tokenizer.Encode("zz", addSpecialTokens: false);
        Assert.Equal(
            $"<s><user>zz{item.Question}<|turn|>\n<assistant>{item.Choices[0]}<|turn|>",
            Texts(new ScoringPass { PrefixTokens = prefix })[0]
        );
    }

    [Fact]
    public void Run_InChatForm_WorksForEveryTier_AndRecordsTheForm()
    {
        const string Attacks =
            "prefilling,prefilled-continuation,in-context-facts,conversational-templates,paraphrases,leak-at-k,linear-probes,gcg,"
            + "soft-prompt,relearning-other-facts";
        var questions = PlaceQuestions.Write(_folder.At("questions.jsonl"), PlaceQuestions.Subjects);
        var retain = TinyCheckpoint.Questions(_folder.At("retain.jsonl"), "kept");
        string[] arguments =
        [
            "attack",
            "--model",
            _directory,
            "--original",
            _directory,
            "--control",
            _directory,
            "--data",
            questions,
            "--retain",
            retain,
            "--attacks",
            Attacks,
            "--budget",
            "quick",
            "--date",
            "2024-02-29",
            "--system",
            "Be brief.",
            "--device",
            "cpu",
            "--dtype",
            "float32",
            "--out",
            _folder.At("out"),
            "--json",
        ];
        var run = CommandRun.Of(arguments);
        Assert.True(run.ExitCode == 0, string.Join('\n', run.Errors));
        var result = JsonNode.Parse(run.Output)!;
        Assert.Equal("chat", result["form"]!["kind"]!.GetValue<string>());
        Assert.Equal("Be brief.", result["form"]!["system"]!.GetValue<string>());
        Assert.Null(result["form"]!["date"]); // this template prints none, so no number depends on it
        Assert.All(result["attacks"]!.AsArray(), row =>
            Assert.Equal(row!["unlearned"]!["value"]!.GetValue<double>(), row["control"]!["value"]!.GetValue<double>(), 1e-9)
        );
    }

    private (LoadedModel, AttackData, AttackSettings) Open(out Falcon.Models.Weights weights)
    {
        (weights, var model) = Checkpoint.LoadModel(_directory, float32, CPU);
        List<AttackItem> items =
        [
            .. Enumerable.Range(0, 2).Select(i => new AttackItem($"Where is place {i}?", ["sea", "hill", "wood"], i)),
        ];
        var data = new AttackData([items[0]], [items[1]], [], [], [], [], new PromptForm().Resolve(hasChatTemplate: true));
        return (
            new LoadedModel(model, HfTokenizer.Load(_directory)),
            data,
            new AttackSettings(AttackBudget.Quick, 0, SilentRunLog.Instance, CancellationToken.None)
        );
    }
}
