using System.Text.Json;
using Falcon.Attacks.Protocol;
using Falcon.Data;
using Falcon.Engine;
using Falcon.Evaluation;
using Falcon.Runs.Training;
using Falcon.Runtime;
using Falcon.Tokenization;

namespace Falcon.Tests.Tokenization;

/// <summary>One prompt form for training, evaluation, generation and attacks.</summary>
[Trait("Category", "Parity")]
public sealed class PromptEncoderTests : IDisposable
{
    private static readonly string[] SpecialTokens =
    [
        "<s>",
        "</s>",
        "<|im_start|>",
        "<|im_end|>",
        "<|start_header_id|>",
        "<|end_header_id|>",
        "<|eot_id|>",
        "<|user|>",
        "<|system|>",
        "<|assistant|>",
        "<|end|>",
        "<start_of_turn>",
        "<end_of_turn>",
        "[INST]",
        "[/INST]",
    ];

    private static readonly JsonElement Templates = JsonDocument
        .Parse(File.ReadAllBytes(Fixtures.At("chat-templates", "cases.json")))
        .RootElement.GetProperty("templates");

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    public static TheoryData<string> Conversational() =>
        [.. Templates.EnumerateObject().Select(template => template.Name).Where(name => name != "features")];

    [Theory, MemberData(nameof(Conversational))]
    public void Encode_AConversation_GivesTheSameTokensInTrainingEvaluationAndAttack(string template)
    {
        var file = _folder.At("conversations.jsonl");
        File.WriteAllLines(
            file,
            [
                Conversation(("user", "Who built the harbour?"), ("assistant", "Mara Quill built it.")),
                Conversation(("user", "Hello."), ("assistant", " Hi! "), ("user", "Where is it?"), ("assistant", "In the north")),
                Conversation(("user", " padded "), ("assistant", "end")),
            ]
        );
        var prompts = new PromptEncoder(WithTemplate(Templates.GetProperty(template).GetString()!), new PromptForm());
        Assert.True(prompts.IsChat);
        var records = Corpus.Read(file);
        var trained = TopicTexts.Read(new DataSettings { Forget = [file], Retain = [file] }, prompts)[0];
        var scored = AnswerScores.Sequences(prompts, records);
        for (var i = 0; i < records.Count; i++)
        {
            Assert.Equal(scored[i].Tokens, trained.Forget[i]);
            Assert.Equal(scored[i].Start - 1, trained.ForgetAnswers[i]);
            var fineTuned = TrainingText.Of(records[i], prompts, 1000);
            Assert.Equal((scored[i].Start, scored[i].Tokens), (fineTuned.PromptLength, fineTuned.Ids), SameTokens);
            Assert.Equal(scored[i].Tokens, new AttackText(records[i]).Tokens(prompts).Tokens);

            // The answer begins where the prompt for generation ends, and one end token closes it.
            var prompt = prompts.EncodePrompt(records[i]);
            Assert.Equal(scored[i].Start, scored[i].Tokens.AsSpan().CommonPrefixLength(prompt));
            var answer = scored[i].Tokens[scored[i].Start..];
            Assert.Contains(records[i].Answer!.Trim(), prompts.Tokenizer.Decode(answer), StringComparison.Ordinal);
            Assert.True(prompts.IsClosed(scored[i].Tokens));
            Assert.Single(answer, id => prompts.Tokenizer.IsSpecial(id));
            // Llama 2's template begins every turn of the user with one.
            Assert.InRange(scored[i].Tokens.Count(id => id == prompts.Tokenizer.BosId), 0, records[i].Messages.Count / 2);
        }
    }

    [Fact]
    public void Encode_ATemplateThatShowsNoMessages_IsRefused()
    {
        var prompts = new PromptEncoder(WithTemplate("nothing of it{{ messages | length }}"), new PromptForm());
        var error = Assert.Throws<UserInputException>(() => prompts.Encode(new AskedQuestion("Where?"), "Here."));
        Assert.Contains("leaves out the message of the role \"user\"", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("developer")]
    [InlineData("tool")]
    public void Encode_ARoleThatTheTemplateDoesNotKnow_NamesFileLineAndRole(string role)
    {
        var file = _folder.At("conversations.jsonl");
        File.WriteAllText(file, Conversation((role, "Be brief."), ("user", "Where?"), ("assistant", "Here.")));
        var prompts = new PromptEncoder(WithTemplate(Templates.GetProperty("zephyr-like").GetString()!), new PromptForm());
        var error = Assert.Throws<UserInputException>(() => prompts.Encode(Corpus.Read(file)[0]));
        Assert.StartsWith(
            $"{file}, line 1: the chat template leaves out the message of the role \"{role}\"",
            error.Message,
            StringComparison.Ordinal
        );
    }

    // In the manner of Qwen3: only a message that is there gets the empty block, the prompt for generation has none.
    [Fact]
    public void Encode_AThinkingBlockThatThePromptLacks_CountsAsAnswer_AndIsSaid()
    {
        const string Template =
            "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}<think>\n\n</think>\n\n{% endif %}"
            + "{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
        var prompts = new PromptEncoder(WithTemplate(Template), new PromptForm());
        var text = prompts.Encode(new AskedQuestion("Where?"), "Here.");
        Assert.Equal("<think>\n\n</think>\n\nHere.<|im_end|>", prompts.Tokenizer.Decode(text.Tokens[text.AnswerStart..]));
        Assert.Contains("empty thinking block", Assert.Single(prompts.Notes), StringComparison.Ordinal);
    }

    // And the reverse: the prompt for generation switches thinking off, a message that is there shows none.
    [Fact]
    public void Encode_AThinkingBlockThatOnlyThePromptHas_StartsTheAnswerWhereTheyPart()
    {
        const string Template =
            "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
            + "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n\n</think>\n\n{% endif %}";
        var prompts = new PromptEncoder(WithTemplate(Template), new PromptForm());
        var text = prompts.Encode(new AskedQuestion("Where?"), "Here.");
        Assert.Equal("Here.<|im_end|>", prompts.Tokenizer.Decode(text.Tokens[text.AnswerStart..]));
        Assert.Contains("otherwise than it shows one", Assert.Single(prompts.Notes), StringComparison.Ordinal);
    }

    [Fact]
    public void Encode_WithASystemMessage_PutsItBeforeConversationsThatHaveNone()
    {
        var tokenizer = WithTemplate(Templates.GetProperty("chatml").GetString()!);
        var prompts = new PromptEncoder(tokenizer, new PromptForm { System = "Be brief." });
        Assert.StartsWith(
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWhere?",
            prompts.PromptText(new AskedQuestion("Where?")),
            StringComparison.Ordinal
        );
        var own = new CorpusRecord("q", "a", null, 1) { Messages = [new("system", "Own."), new("user", "q"), new("assistant", "a")] };
        Assert.DoesNotContain("Be brief.", prompts.PromptText(own), StringComparison.Ordinal);
    }

    [Fact]
    public void Render_ATemplateWithADate_HasTheOneOfTheForm()
    {
        var tokenizer = WithTemplate(
            "{{ strftime_now('%d %b %Y') }}{% for m in messages %}<|user|>{{ m.content }}<|end|>{% endfor %}<|assistant|>"
        );
        var prompts = new PromptEncoder(tokenizer, new PromptForm { Date = new DateOnly(2024, 2, 29) });
        Assert.StartsWith("29 Feb 2024<|user|>", prompts.PromptText(new AskedQuestion("Where?")), StringComparison.Ordinal);
    }

    [Fact]
    public void Encode_Plain_IsTheTemplateWithTheTokenizersEnd()
    {
        var tokenizer = WithTemplate(null);
        var prompts = new PromptEncoder(tokenizer, new PromptForm());
        Assert.False(prompts.IsChat);
        var text = prompts.Encode(new CorpusRecord("Where?", "Here.", null, 1));
        Assert.Equal([.. tokenizer.Encode("Question: Where?\nAnswer: Here."), tokenizer.EosId!.Value], text.Tokens);
        Assert.Equal(" Here.</s>", tokenizer.Decode(text.Tokens[text.AnswerStart..]));
    }

    // A template that ends in a space: the space and the first word are one token, so the answer starts a token earlier.
    [Fact]
    public void Encode_APromptThatEndsInASpace_SplitsBeforeTheTokenThatCrosses()
    {
        var tokenizer = WithTemplate(null, texts: ["the the the the the the the the"]);
        Assert.Single(tokenizer.Encode(" the"));
        var prompts = PromptEncoder.Plain(tokenizer, new PromptTemplate("Q {question} ", "{answer}"));
        var text = prompts.Encode(new AskedQuestion("x"), "the");
        Assert.Equal(" the</s>", tokenizer.Decode(text.Tokens[text.AnswerStart..]));
    }

    [Theory]
    [InlineData(FormKind.Chat, false, null, false, "no chat template")]
    [InlineData(FormKind.Chat, true, null, true, "a template of your own is given too")]
    [InlineData(FormKind.Plain, true, "Be brief.", false, "--system")]
    [InlineData(FormKind.Auto, false, "Be brief.", false, "--system")]
    public void Resolve_FormsThatContradictTheTokenizer_AreRefused(FormKind kind, bool hasTemplate, string? system, bool own, string said)
    {
        var form = new PromptForm
        {
            Kind = kind,
            System = system,
            Template = own ? new("{question}?", "{answer}") : new(),
        };
        var error = Assert.Throws<UserInputException>(() => form.Resolve(hasTemplate));
        Assert.Contains(said, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Resolve_Auto_IsChatForOnesOwnQuestions_AndPlainForBenchmarksAndOwnTemplates()
    {
        var auto = new PromptForm();
        Assert.Equal(FormKind.Chat, auto.Resolve(hasChatTemplate: true).Kind);
        Assert.Equal(FormKind.Plain, auto.Resolve(hasChatTemplate: true, isBenchmark: true).Kind);
        Assert.Equal(FormKind.Plain, auto.Resolve(hasChatTemplate: false).Kind);
        Assert.Equal(FormKind.Plain, (auto with { Template = new("{question}?", "{answer}") }).Resolve(hasChatTemplate: true).Kind);
        Assert.Equal(FormKind.Chat, (auto with { Kind = FormKind.Chat }).Resolve(hasChatTemplate: true, isBenchmark: true).Kind);
    }

    [Theory]
    [InlineData("chatml")]
    [InlineData(null)]
    public void Encode_AnAnswerOfMegabytes_IsCutBeforeTheRestIsRead_AndSaid(string? template)
    {
        var tokenizer = WithTemplate(template is null ? null : Templates.GetProperty(template).GetString());
        var prompts = new PromptEncoder(tokenizer, new PromptForm()) { MaxTokens = 64 };
        var answer = string.Concat(Enumerable.Repeat("word ", 1_000_000));
        var text = prompts.Encode(new AskedQuestion("Where?"), answer);
        var whole = new PromptEncoder(tokenizer, new PromptForm()).Encode(new AskedQuestion("Where?"), answer[..500]);
        Assert.Equal(whole.Tokens[..64], text.Tokens);
        Assert.Equal(whole.AnswerStart, text.AnswerStart);
        Assert.Contains("more than 64 tokens", Assert.Single(prompts.Notes), StringComparison.Ordinal);
        Assert.Empty(new PromptEncoder(tokenizer, new PromptForm()) { MaxTokens = whole.Tokens.Length }.Notes);
    }

    [Fact]
    public void QuestionStart_IsWhereTheUsersOwnWordsBegin()
    {
        var prompts = new PromptEncoder(WithTemplate(Templates.GetProperty("llama3-like").GetString()!), new PromptForm());
        var prompt = prompts.EncodePrompt(new AskedQuestion("Where is it?"));
        Assert.StartsWith("Where is it?", prompts.Tokenizer.Decode(prompt[prompts.QuestionStart..]), StringComparison.Ordinal);
    }

    private static string Conversation(params (string Role, string Content)[] messages) =>
        JsonSerializer.Serialize(new { messages = messages.Select(message => new { role = message.Role, content = message.Content }) });

    private static bool SameTokens((int, int[]) one, (int, int[]) other) =>
        one.Item1 == other.Item1 && one.Item2.SequenceEqual(other.Item2);

    // A byte-level tokenizer with the special tokens that the golden templates write.
    private HfTokenizer WithTemplate(string? template, string[]? texts = null)
    {
        var directory = Directory.CreateDirectory(_folder.At("tokenizer")).FullName;
        File.WriteAllText(Path.Combine(directory, "tokenizer.json"), BytePairTrainer.Train(texts ?? [], 320, SpecialTokens));
        File.WriteAllText(
            Path.Combine(directory, "tokenizer_config.json"),
            JsonSerializer.Serialize(
                new
                {
                    bos_token = "<s>",
                    eos_token = "</s>",
                    chat_template = template,
                }
            )
        );
        return HfTokenizer.Load(directory);
    }
}
