using System.Text.Json.Nodes;
using Falcon.Runtime;
using Falcon.Tokenization;

namespace Falcon.Tests.Tokenization;

/// <summary>
/// Tokenizer directories as they are found: added tokens with holes, special tokens and chat templates in the places that one library
/// version or another puts them. Expected ids were computed with the reference library (tokenizers) on the same files.
/// </summary>
public sealed class FoundTokenizerTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private void Write(string name, string content)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(_folder.At(name))!);
        File.WriteAllText(_folder.At(name), content);
    }

    /// <summary>a 0, b 1, ab 2 and the added tokens.</summary>
    private void WriteTokenizer(string added, string vocabulary = """{"a": 0, "b": 1, "ab": 2}""") =>
        Write(
            "tokenizer.json",
            new JsonObject
            {
                ["added_tokens"] = JsonNode.Parse(added),
                ["model"] = new JsonObject
                {
                    ["type"] = "BPE",
                    ["vocab"] = JsonNode.Parse(vocabulary),
                    ["merges"] = new JsonArray(new JsonArray("a", "b")),
                },
            }.ToJsonString()
        );

    private void WriteEnds() =>
        WriteTokenizer(
            """
            [{"id": 3, "content": "<s>", "normalized": false, "special": true},
             {"id": 4, "content": "</s>", "normalized": false, "special": true},
             {"id": 5, "content": "<pad>", "normalized": false, "special": true},
             {"id": 6, "content": "<tool>", "normalized": false, "special": false}]
            """
        );

    [Theory]
    [InlineData("""[{"id": 3, "content": "<s>"}, {"id": 9, "content": "</s>"}]""", "3 2 4", "'</s>' is 4, not 9")]
    [InlineData("""[{"id": 4, "content": "<s>"}, {"id": 3, "content": "</s>"}]""", "3 2 4", "'<s>' is 3, not 4; '</s>' is 4, not 3")]
    [InlineData("""[{"id": 10, "content": "<s>"}, {"id": 11, "content": "</s>"}]""", "3 2 4", "'<s>' is 3, not 10")]
    [InlineData("""[{"id": 0, "content": "<s>"}, {"id": 1, "content": "</s>"}]""", "3 2 4", "'<s>' is 3, not 0")]
    [InlineData("""[{"id": 3, "content": "<s>"}, {"id": 4, "content": "<s>"}, {"id": 5, "content": "</s>"}]""", "3 2 4", "'</s>' is 4")]
    [InlineData("""[{"id": 7, "content": "ab"}, {"id": 8, "content": "</s>"}, {"id": 4, "content": "<s>"}]""", "4 2 3", "'ab' is 2, not 7")]
    public void AddedTokens_OutOfOrderOrWithHoles_HaveTheIdsOfTheReference(string added, string ids, string note)
    {
        WriteTokenizer(added);
        Write("tokenizer_config.json", """{"eos_token": "</s>"}""");
        var tokenizer = HfTokenizer.Load(_folder.Path);
        Assert.Equal(ids, string.Join(' ', tokenizer.Encode("<s>ab</s>")));
        Assert.Contains(note, Assert.Single(tokenizer.Notes), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""[{"id": 6, "content": "<s>"}, {"id": 3, "content": "</s>"}]""", "3 5 4")]
    [InlineData("""[{"id": 5, "content": "ab"}, {"id": 6, "content": "<s>"}, {"id": 7, "content": "</s>"}]""", "6 5 7")]
    public void AddedTokens_OverAVocabularyWithHoles_HaveTheIdsOfTheReference(string added, string ids)
    {
        WriteTokenizer(added, """{"a": 0, "b": 1, "ab": 5}""");
        Assert.Equal(ids, string.Join(' ', HfTokenizer.Load(_folder.Path).Encode("<s>ab</s>")));
    }

    public static TheoryData<string, string> Places =>
        new()
        {
            { "tokenizer_config.json", """{"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}""" },
            { "tokenizer_config.json", """{"bos_token": {"content": "<s>"}, "eos_token": {"content": "</s>"}, "pad_token": "<pad>"}""" },
            {
                "tokenizer_config.json",
                """
                    {"tokenizer_class": "TokenizersBackend",
                     "extra_special_tokens": {"bos_token": "<s>", "eos_token": {"content": "</s>"}, "pad_token": "<pad>", "img": "<tool>"}}
                    """
            },
            {
                "tokenizer_config.json",
                """{"model_specific_special_tokens": {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}}"""
            },
            { "special_tokens_map.json", """{"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}""" },
            { "config.json", """{"bos_token_id": 3, "eos_token_id": 4, "pad_token_id": 5}""" },
            { "config.json", """{"bos_token_id": 3, "eos_token_id": [4, 3], "pad_token_id": 5}""" },
            { "config.json", """{"text_config": {"bos_token_id": 3, "eos_token_id": 4, "pad_token_id": 5}}""" },
            { "generation_config.json", """{"bos_token_id": 3, "eos_token_id": [4], "pad_token_id": 5}""" },
        };

    [Theory, MemberData(nameof(Places))]
    public void SpecialTokens_AreFoundWhereverTheyAreNamed(string file, string content)
    {
        WriteEnds();
        Write(file, content);
        var tokenizer = HfTokenizer.Load(_folder.Path);
        Assert.Equal((3, 4, 5), (tokenizer.BosId, tokenizer.EosId, tokenizer.PadId));
        Assert.Equal(("<s>", "</s>"), (tokenizer.BosToken, tokenizer.EosToken));
        Assert.Equal(
            file.Contains("config.json", StringComparison.Ordinal) && !file.StartsWith("tok", StringComparison.Ordinal),
            tokenizer.Notes.Count > 0
        );
    }

    [Fact]
    public void SpecialTokens_ListedWithoutARole_TheRolesComeFromConfig()
    {
        WriteEnds();
        Write(
            "tokenizer_config.json",
            """{"tokenizer_class": "TokenizersBackend", "extra_special_tokens": ["</s>", {"content": "<tool>"}]}"""
        );
        Write("config.json", """{"bos_token_id": null, "eos_token_id": 4, "pad_token_id": -1}""");
        var tokenizer = HfTokenizer.Load(_folder.Path);
        Assert.Equal((null, 4, 4), (tokenizer.BosId, tokenizer.EosId, tokenizer.PadId));
        Assert.Contains("eos_token_id of config.json", Assert.Single(tokenizer.Notes), StringComparison.Ordinal);
        Assert.True(tokenizer.IsSpecial(6)); // named special by the list, not by tokenizer.json
        Assert.Equal("a b", tokenizer.Decode([0, 6, 1, 4], skipSpecialTokens: true));
    }

    [Fact]
    public void SpecialTokens_ByTheIdOfAnOrdinaryToken_AreNotTaken()
    {
        WriteEnds();
        Write("config.json", """{"eos_token_id": 2}""");
        var tokenizer = HfTokenizer.Load(_folder.Path);
        Assert.Null(tokenizer.EosId);
        Assert.Contains("the ordinary token 'ab'", Assert.Single(tokenizer.Notes), StringComparison.Ordinal);
    }

    [Fact]
    public void SpecialTokens_NamedNowhere_AreMissedAloud()
    {
        WriteEnds();
        Assert.Contains(
            "no file names the token that ends a text",
            Assert.Single(HfTokenizer.Load(_folder.Path).Notes),
            StringComparison.Ordinal
        );
    }

    // As the reference does with a special token that tokenizer.json lacks.
    [Fact]
    public void SpecialTokens_ThatTheVocabularyLacks_GetTheNextId()
    {
        WriteEnds();
        Write("tokenizer_config.json", """{"eos_token": "<|im_end|>", "additional_special_tokens": ["<|im_start|>"]}""");
        var tokenizer = HfTokenizer.Load(_folder.Path);
        Assert.Equal(7, tokenizer.EosId);
        Assert.Equal([8, 2, 7], tokenizer.Encode("<|im_start|>ab<|im_end|>"));
        Assert.Equal(9, tokenizer.VocabularySize);
    }

    [Fact]
    public void ChatTemplates_WithoutADefault_AreNamedAndNotUsed()
    {
        WriteEnds();
        Write("special_tokens_map.json", """{"eos_token": "</s>"}""");
        Write("tokenizer_config.json", """{"chat_template": [{"name": "tool_use", "template": "T"}, {"name": "rag", "template": "R"}]}""");
        Write("additional_chat_templates/agent.jinja", "A");
        Write("chat_template.json", """{"chat_template": "P"}""");
        var tokenizer = HfTokenizer.Load(_folder.Path);
        Assert.Null(tokenizer.ChatTemplate);
        var note = Assert.Single(tokenizer.Notes);
        Assert.Equal(
            $"{_folder.Path}: no chat template is used, because none is the default; there are \"tool_use\" in tokenizer_config.json, "
                + "\"rag\" in tokenizer_config.json, additional_chat_templates/agent.jinja, chat_template.json. To use one of them, save "
                + "its text as chat_template.jinja in the model's folder",
            note
        );
        var error = Assert.Throws<UserInputException>(() => tokenizer.RenderChat([], addGenerationPrompt: true));
        Assert.Contains("\"rag\" in tokenizer_config.json", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("additional_chat_templates/rag.jinja", "R")]
    [InlineData("chat_template.json", """{"chat_template": "P"}""")]
    public void ChatTemplates_OnlyInAPlaceThatIsNotRead_AreNamed(string file, string content)
    {
        WriteEnds();
        Write("special_tokens_map.json", """{"eos_token": "</s>"}""");
        Write(file, content);
        var tokenizer = HfTokenizer.Load(_folder.Path);
        Assert.Null(tokenizer.ChatTemplate);
        Assert.Contains(file, Assert.Single(tokenizer.Notes), StringComparison.Ordinal);
    }

    [Fact]
    public void ChatTemplates_TheFileWins_AndAnotherInTheConfigurationIsNamed()
    {
        WriteEnds();
        Write("tokenizer_config.json", """{"eos_token": "</s>", "chat_template": "old"}""");
        Write("chat_template.jinja", "new");
        var tokenizer = HfTokenizer.Load(_folder.Path);
        Assert.Equal("new", tokenizer.ChatTemplate);
        Assert.Contains("not another chat_template in tokenizer_config.json", Assert.Single(tokenizer.Notes), StringComparison.Ordinal);

        Write("chat_template.jinja", "old\n"); // the same text in both places
        Assert.Empty(HfTokenizer.Load(_folder.Path).Notes);
    }

    [Theory]
    [InlineData("tiny-bytelevel-llama3")]
    [InlineData("tiny-bytefallback-llama2")] // a text is one word
    public void EncodeStart_OfALongText_GivesTheFirstIdsOfTheWhole(string name)
    {
        var tokenizer = HfTokenizer.Load(Fixtures.At("tokenizers", "tiny", name));
        var text = string.Concat(Enumerable.Range(0, 4000).Select(i => $"The {i}th fact, \U0001F600 about {i * 7919} things.\n"));
        var whole = tokenizer.Encode(text);
        foreach (var count in new[] { 0, 1, 255, 2000 })
            Assert.Equal(whole[..count], tokenizer.EncodeStart(text, count));
        Assert.Equal(whole, tokenizer.EncodeStart(text, whole.Length));
        Assert.Equal(tokenizer.Encode("a b"), tokenizer.EncodeStart("a b", 100));
    }

    [Fact]
    public void EncodeStart_OfThirtyMegabytes_ReadsOnlyTheBeginning()
    {
        var tokenizer = HfTokenizer.Load(Fixtures.At("tokenizers", "tiny", "tiny-bytefallback-llama2"));
        var text = string.Concat(Enumerable.Repeat("one long answer without an end ", 1_000_000));
        var before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Equal(256, tokenizer.EncodeStart(text, 256).Length);
        Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < 64 << 20);
    }
}
