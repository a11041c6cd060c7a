using System.Text.Json.Nodes;
using Falcon.Data;
using Falcon.Runtime;
using Falcon.Tokenization;

namespace Falcon.Tests.Tokenization;

public sealed class HfTokenizerTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("falcon-tokenizer-").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void Load_DirectoryWithoutTokenizerJson_NamesFileAndRemedy()
    {
        var error = Assert.Throws<UserInputException>(() => HfTokenizer.Load(_directory));

        Assert.Contains("tokenizer.json", error.Message, StringComparison.Ordinal);
        Assert.Contains("Copy", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Load_EmptySentencePieceModel_SaysThatItIsNone()
    {
        Write("tokenizer.model", "");

        var error = Assert.Throws<UnsupportedCheckpointException>(() => HfTokenizer.Load(_directory));

        Assert.Contains("not a readable SentencePiece model", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("normalizer", "Precompiled")]
    [InlineData("pre_tokenizer", "BertPreTokenizer")]
    [InlineData("post_processor", "RobertaProcessing")]
    [InlineData("decoder", "WordPiece")]
    [InlineData("model", "Unigram")]
    public void Load_UnknownPart_NamesItsType(string part, string type)
    {
        var file = Tokenizer();
        file[part] = new JsonObject { ["type"] = type };
        Write("tokenizer.json", file.ToJsonString());

        var error = Assert.Throws<UnsupportedCheckpointException>(() => HfTokenizer.Load(_directory));

        Assert.Contains(part, error.Message, StringComparison.Ordinal);
        Assert.Contains($"'{type}'", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("{")]
    [InlineData("""{"model":{"type":"BPE","vocab":{"a":0},"merges":["a b"]}}""")]
    [InlineData("""{"model":{"type":"BPE","vocab":{"a":0},"merges":["a a a"]}}""")]
    [InlineData("""{"model":{"type":"BPE","vocab":{"a":-1},"merges":[]}}""")]
    [InlineData("""{"model":{"type":"BPE","vocab":{"a":0},"merges":[],"unk_token":"?"}}""")]
    [InlineData("""{"model":{"type":"BPE","vocab":{"a":0},"merges":[],"dropout":0.1}}""")]
    [InlineData("""{"model":{"type":"BPE","vocab":{"\ud800":0},"merges":[]}}""")]
    [InlineData(
        """{"model":{"type":"BPE","vocab":{"a":0},"merges":[]}"""
            + ""","pre_tokenizer":{"type":"Split","pattern":{"Regex":"a++("},"behavior":"Isolated"}}"""
    )]
    public void Load_DamagedFile_IsRefused(string content)
    {
        Write("tokenizer.json", content);

        Assert.Throws<UnsupportedCheckpointException>(() => HfTokenizer.Load(_directory));
    }

    [Fact]
    public void SpecialTokens_FromConfigurationThenFromTheOlderMap()
    {
        Write("tokenizer.json", Tokenizer().ToJsonString());
        Write(
            "tokenizer_config.json",
            """{"bos_token":{"__type":"AddedToken","content":"<s>"},"eos_token":null,"model_max_length":1e30}"""
        );
        Write("special_tokens_map.json", """{"bos_token":"a","eos_token":{"content":"</s>"}}""");

        var tokenizer = HfTokenizer.Load(_directory);

        Assert.Equal(3, tokenizer.BosId);
        Assert.Equal(4, tokenizer.EosId);
        Assert.Equal(tokenizer.EosId, tokenizer.PadId);
        Assert.Equal(5, tokenizer.VocabularySize);
        Assert.True(tokenizer.IsSpecial(3));
        Assert.False(tokenizer.IsSpecial(0));
        Assert.Equal(2, tokenizer.TokenId("ab"));
        Assert.Null(tokenizer.TokenId("zebra"));
    }

    [Fact]
    public void SpecialTokens_WithoutSideFiles_AreAbsent()
    {
        Write("tokenizer.json", Tokenizer().ToJsonString());

        var tokenizer = HfTokenizer.Load(_directory);

        Assert.Null(tokenizer.BosId);
        Assert.Null(tokenizer.EosId);
        Assert.Null(tokenizer.PadId);
        Assert.Null(tokenizer.ChatTemplate);
    }

    [Fact]
    public void ChatTemplate_FileWinsOverConfiguration_DefaultOfSeveralIsTaken()
    {
        Write("tokenizer.json", Tokenizer().ToJsonString());
        Write("tokenizer_config.json", """{"chat_template":[{"name":"tool_use","template":"T"},{"name":"default","template":"D"}]}""");
        Assert.Equal("D", HfTokenizer.Load(_directory).ChatTemplate);

        Write("chat_template.jinja", "J");
        Assert.Equal("J", HfTokenizer.Load(_directory).ChatTemplate);
    }

    [Fact]
    public void RenderChat_KnowsTheSpecialTokensAndTheMessages()
    {
        Write("tokenizer.json", Tokenizer().ToJsonString());
        Write(
            "tokenizer_config.json",
            """{"bos_token":"<s>","eos_token":"</s>","chat_template":"{{ bos_token }}"""
                + """{% for m in messages %}[{{ m.role }}] {{ m.content }}{{ eos_token }}{% endfor %}"""
                + """{% if add_generation_prompt %}{{ opening }}{% endif %}"}"""
        );
        var tokenizer = HfTokenizer.Load(_directory);
        ChatMessage[] messages = [new("user", "Hi"), new("assistant", "Ho")];

        Assert.Equal("<s>[user] Hi</s>[assistant] Ho</s>", tokenizer.RenderChat(messages, addGenerationPrompt: false));
        Assert.Equal(
            "<s>[user] Hi</s>[assistant] Ho</s>>",
            tokenizer.RenderChat(messages, addGenerationPrompt: true, new Dictionary<string, object?> { ["opening"] = ">" })
        );
    }

    [Fact]
    public void RenderChat_WithoutTemplate_SaysSo()
    {
        Write("tokenizer.json", Tokenizer().ToJsonString());

        Assert.Throws<UserInputException>(() => HfTokenizer.Load(_directory).RenderChat([], addGenerationPrompt: true));
    }

    [Fact]
    public void Encode_MergesByRank_AndFindsSpecialTokensInTheText()
    {
        Write("tokenizer.json", Tokenizer().ToJsonString());
        var tokenizer = HfTokenizer.Load(_directory);

        // b is 1, ab is 2; <s> 3, </s> 4; the z is not in the vocabulary and there is no unknown token.
        Assert.Equal([3, 1, 2, 4, 2], tokenizer.Encode("bab</s>zab"));
        Assert.Equal([1, 2], tokenizer.Encode("bab", addSpecialTokens: false));
        Assert.Equal("b ab", tokenizer.Decode([3, 1, 2, 4, 1000], skipSpecialTokens: true));
    }

    [Fact]
    public void Encode_DollarInASplitPattern_StandsForEveryLineEnd()
    {
        var file = Tokenizer();
        file["pre_tokenizer"] = JsonNode.Parse("""{"type":"Split","pattern":{"Regex":"b$"},"behavior":"Isolated"}""");
        file["model"] = JsonNode.Parse("""{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]}""");
        Write("tokenizer.json", file.ToJsonString());

        // In Oniguruma the first b, before a line feed, is split off as well; the middle one is not.
        Assert.Equal([0, 1, 2, 0, 0, 1], HfTokenizer.Load(_directory).Encode("ab\nabaab", addSpecialTokens: false));
    }

    [Fact]
    public void Encode_LoneSurrogate_CountsAsReplacementCharacter()
    {
        var tokenizer = HfTokenizer.Load(AnyByteLevelTokenizer());

        Assert.Equal(tokenizer.Encode("a\uFFFDb"), tokenizer.Encode("a\uD800b"));
    }

    [Fact]
    public void Encode_FromSeveralThreads_GivesTheSameIds()
    {
        var tokenizer = HfTokenizer.Load(AnyByteLevelTokenizer());
        var texts = Enumerable.Range(0, 200).Select(i => $"The {i}th sentence, about {i * 7919} things and thing{i}.").ToArray();
        var expected = texts.Select(text => tokenizer.Encode(text)).ToArray();

        var fresh = HfTokenizer.Load(AnyByteLevelTokenizer());
        Parallel.For(0, 1000, i => Assert.Equal(expected[i % 200], fresh.Encode(texts[i % 200])));
    }

    [Fact]
    public void Encode_OneWordOfAMillionCharacters_TakesNearLinearTime()
    {
        Write("tokenizer.json", Tokenizer().ToJsonString());
        var tokenizer = HfTokenizer.Load(_directory);
        var text = string.Concat(Enumerable.Repeat("ab", 500_000));
        var clock = System.Diagnostics.Stopwatch.StartNew();

        var ids = tokenizer.Encode(text, addSpecialTokens: false);

        Assert.Equal(500_000, ids.Length);
        Assert.True(clock.Elapsed < TimeSpan.FromSeconds(20), $"took {clock.Elapsed}");   // a quadratic search would take hours
    }

    /// <summary>Three tokens (a, b, ab), one merge, two special tokens, no pre-tokenizer.</summary>
    private static JsonObject Tokenizer() => JsonNode.Parse("""
        {
          "added_tokens": [
            {"id": 3, "content": "<s>", "normalized": false, "special": true},
            {"id": 4, "content": "</s>", "normalized": false, "special": true}
          ],
          "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [3], "tokens": ["<s>"]}}
          },
          "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}
        }
        """)!.AsObject();

    /// <summary>The first tokenizer among the fixtures whose decoder is byte-level.</summary>
    private static string AnyByteLevelTokenizer() =>
        Directory
            .GetDirectories(Fixtures.AtOrSkip("tokenizers", "tiny"))
            .Order(StringComparer.Ordinal)
            .First(directory =>
                JsonNode.Parse(File.ReadAllText(Path.Combine(directory, "tokenizer.json")))!["decoder"]?["type"]?.GetValue<string>()
                == "ByteLevel"
            );

    private void Write(string name, string content) => File.WriteAllText(Path.Combine(_directory, name), content);
}
