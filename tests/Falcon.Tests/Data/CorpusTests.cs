using Falcon.Data;
using Falcon.Runtime;
using Parquet;
using Parquet.Serialization;

namespace Falcon.Tests.Data;

/// <summary>Expected records are what the file says, read by eye.</summary>
public sealed class CorpusTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private string Write(string name, string text)
    {
        File.WriteAllText(_folder.At(name), text);
        return _folder.At(name);
    }

    private IReadOnlyList<CorpusRecord> Read(string name, string text, string? fields = null) => Corpus.Read(Write(name, text), fields);

    private static (string?, string?, string?, int) Plain(CorpusRecord record) =>
        (record.Question, record.Answer, record.Text, record.Line);

    [Fact]
    public void Read_JsonLinesWithMarkAndCarriageReturnsAndBlankLines_KeepsLineNumbers()
    {
        var records = Read(
            "a.jsonl",
            "\uFEFF{\"question\":\"q\",\"answer\":\"é\"}\r\n\r\n{\"prompt\":\" p \",\"completion\":\"c\"}\r\n{\"text\":\"t\\nu\"}"
        );
        Assert.Equal([("q", "é", null, 1), (" p ", "c", null, 3), (null, null, "t\nu", 4)], records.Select(Plain));
    }

    [Fact]
    public void Read_LineLongerThanTheReadBuffer_IsWhole()
    {
        var text = new string('ä', 100_000);
        Assert.Equal(
            [(null, null, text, 1), (null, null, "end", 2)],
            Read("a.jsonl", $"{{\"text\":\"{text}\"}}\n{{\"text\":\"end\"}}\n").Select(Plain)
        );
    }

    [Fact]
    public void Read_JsonNamedFileOfLines_IsReadAsLines()
    {
        var records = Read("forget10.json", "{\"question\": \"q\", \"answer\": \"a\"}\n{\"question\": \"r\", \"answer\": \"b\"}\n");
        Assert.Equal([("q", "a", 1), ("r", "b", 2)], records.Select(record => (record.Question, record.Answer, record.Line)));
    }

    [Fact]
    public void Read_JsonArrayOfObjectsAndStrings_GivesLineOfEachStart()
    {
        var records = Read("a.json", "[\n  {\"question\": \"q\",\n   \"answer\": \"a\"},\n  \"bare text\",\n  {\"text\": \"t\"}]\n");
        Assert.Equal([("q", "a", null, 2), (null, null, "bare text", 4), (null, null, "t", 5)], records.Select(Plain));
    }

    [Fact]
    public void Read_FieldsNamed_AreUsedInsteadOfTheKnownNames()
    {
        var records = Read("a.jsonl", """{"q":"one","gt":"two","text":"not this"}""", "question=q, answer=gt");
        Assert.Equal(("one", "two", null, 1), Plain(Assert.Single(records)));
        Assert.Equal(
            (null, null, "body", 1),
            Plain(Assert.Single(Read("b.jsonl", """{"question":"q","answer":"a","body":"body"}""", "text=body")))
        );
    }

    [Fact]
    public void Read_Conversation_KeepsMessagesAndTakesTheLastAnswer()
    {
        var record = Assert.Single(
            Read(
                "a.jsonl",
                """{"messages":[{"role":"system","content":"s"},{"role":"user","content":"u1"},{"role":"assistant","content":"a1"}"""
                    + """,{"role":"user","content":"u2"},{"role":"assistant","content":"a2"}]}"""
            )
        );
        Assert.Equal(("u2", "a2", null, 1), Plain(record));
        Assert.Equal(["s", "u1", "a1", "u2", "a2"], record.Messages.Select(message => message.Content));
        Assert.Equal(new ChatMessage("system", "s"), record.Messages[0]);
    }

    [Fact]
    public void Read_ContentInParts_IsJoined() =>
        Assert.Equal(
            "Where is it?",
            Assert
                .Single(
                    Read(
                        "a.jsonl",
                        """{"messages":[{"role":"user","content":[{"type":"text","text":"Where "},{"type":"text","text":"is it?"}]},"""
                            + """{"role":"assistant","content":"Here."}]}"""
                    )
                )
                .Question
        );

    [Theory]
    [InlineData("""{"role":"user","content":[{"type":"image_url","image_url":{}}]},{"role":"assistant","content":"a"}""", "image_url")]
    [InlineData("""{"role":"user","content":[]},{"role":"assistant","content":"a"}""", "messages[0].content")]
    [InlineData("""{"role":"user","content":"q"},{"role":"assistant","content":null,"tool_calls":[]}""", "calls tools")]
    [InlineData("""{"role":"user","content":"q"},{"role":"assistant","content":"a"},{"role":"user","content":"q"}""", "must end with")]
    [InlineData("""{"role":"user","content":"q"},{"role":"assistant","content":"a"},{"role":"assistant","content":"b"}""", "last two")]
    [InlineData("""{"role":"system","content":"q"},{"role":"assistant","content":"a"}""", "no user message")]
    [InlineData("", "it is empty")]
    public void Read_AConversationThatIsNoQuestionWithAnAnswer_IsRefused(string messages, string said)
    {
        var error = Assert.Throws<UserInputException>(() => Read("a.jsonl", $$"""{"messages":[{{messages}}]}"""));
        Assert.Contains("a.jsonl, line 1, field \"messages", error.Message, StringComparison.Ordinal);
        Assert.Contains(said, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Read_TofuPerturbed_KeepsParaphrasesAndWrongAnswers()
    {
        var record = Assert.Single(Read("a.jsonl",
            """{"question":"q","paraphrased_question":"pq","answer":"a","paraphrased_answer":"pa","perturbed_answer":["x","y","z"]}"""));
        Assert.Equal(("q", "a", null, 1), Plain(record));
        Assert.Equal(("pq", "pa"), (record.ParaphrasedQuestion, record.ParaphrasedAnswer));
        Assert.Equal(["x", "y", "z"], record.PerturbedAnswers);
        Assert.Empty(record.Choices);
        Assert.Null(record.CorrectChoice);
    }

    [Theory]
    [InlineData("""{"question":"q","choices":["w","x","y","z"],"answer":2,"subject":"s"}""", "y", 2)]
    [InlineData("""{"question":"q","choices":["w","x","y","z"],"answer":"D","subject":"s"}""", "z", 3)]
    [InlineData("""{"question":"q","choices":["w","x","y","z"],"answer":"x","subject":"s"}""", "x", 1)]
    [InlineData("""{"question":"q","choices":["3","2","1","0"],"answer":"3","subject":"s"}""", "0", 3)]
    [InlineData("""{"question":"q","option1":"3","option2":"2","option3":"1","option4":"0","answer":"3","subject":"s"}""", "3", 0)]
    [InlineData("""{"question":"q","A":"w","B":"x","C":"y","D":"z","answer":"C","subject":"s"}""", "y", 2)]
    public void Read_MultipleChoiceLayouts_GiveTheCorrectChoice(string json, string answer, int correct)
    {
        var record = Assert.Single(Read("a.jsonl", json));
        Assert.Equal((answer, correct, 4, "s"), (record.Answer, record.CorrectChoice, record.Choices.Count, record.Subject));
    }

    [Fact]
    public void Read_CsvWithQuotedCells_FollowsRfc4180()
    {
        var records = Read("a.csv", "question,answer\r\n\"two\r\nlines, and \"\"quotes\"\"\",a\r\n\r\nplain,\" b \"");
        Assert.Equal([("two\r\nlines, and \"quotes\"", "a", null, 2), ("plain", " b ", null, 5)], records.Select(Plain));
    }

    [Theory]
    [InlineData("question,choice0,choice1,choice2,choice3,answer\nq,0,1,2,3,1\n", 2)]
    [InlineData("q,0,1,2,3,B\n", 1)]
    [InlineData("question,A,B,C,D,answer\nq,0,1,2,3,B\n", 2)]
    public void Read_MmluCsvWithAndWithoutHeader_AreTheSame(string text, int line)
    {
        var record = Assert.Single(Read("high_school_physics_test.csv", text));
        Assert.Equal(("q", "1", null, line), Plain(record));
        Assert.Equal(["0", "1", "2", "3"], record.Choices);
        Assert.Equal((1, "high_school_physics"), (record.CorrectChoice, record.Subject));
    }

    [Fact]
    public void Read_TextFile_OneTextALineUnlessBlankLinesSeparate()
    {
        Assert.Equal([(null, null, "one", 1), (null, null, "two", 2)], Read("a.txt", "one\r\ntwo\r\n").Select(Plain));
        Assert.Equal([(null, null, "one", 2), (null, null, "two", 3)], Read("b.txt", "\none\ntwo\n\n \n").Select(Plain));
        Assert.Equal([(null, null, "one\nmore", 1), (null, null, "two", 5)], Read("c.txt", "one\nmore\n \n\ntwo\n").Select(Plain));
    }

    [Fact]
    public async Task Read_ParquetOfTwoRowGroups_ReadsListsAndStructures()
    {
        var path = _folder.At("a.parquet");
        var items = Enumerable
            .Range(0, 3)
            .Select(index => new Item
            {
                question = $"q{index}",
                choices = ["w", "x", "y", "z"],
                answer = index,
                subject = "chemistry",
            });
        await using (var stream = File.Create(path))
            await ParquetSerializer.SerializeAsync(items, stream, new ParquetOptions { RowGroupSize = 2 });

        var records = Corpus.Read(path);

        Assert.Equal([("q0", "w", null, 1), ("q1", "x", null, 2), ("q2", "y", null, 3)], records.Select(Plain));
        Assert.All(records, record => Assert.Equal(["w", "x", "y", "z"], record.Choices));
        Assert.Equal((2, "chemistry"), (records[2].CorrectChoice, records[2].Subject));
    }

    [Fact]
    public async Task Read_ParquetOfConversations_GivesMessages()
    {
        var path = _folder.At("a.parquet");
        await using (var stream = File.Create(path))
            await ParquetSerializer.SerializeAsync(
                [new Conversation { messages = [new() { role = "user", content = "u" }, new() { role = "assistant", content = "a" }] }],
                stream
            );
        Assert.Equal([new ChatMessage("user", "u"), new ChatMessage("assistant", "a")], Assert.Single(Corpus.Read(path)).Messages);
    }

    [Fact]
    public async Task Read_ParquetOfBytes_IsTextWhenItIsUtf8()
    {
        var path = _folder.At("a.parquet");
        await using (var stream = File.Create(path))
            await ParquetSerializer.SerializeAsync(
                new Bytes[]
                {
                    new() { text = "é"u8.ToArray() },
                    new() { text = [0xFF] },
                },
                stream
            );
        Assert.Equal("é", Corpus.Stream(path).First().Text);
        Assert.Equal(
            $"{path}, row 2, field \"text\": invalid UTF-8 in a column of bytes; store texts as strings.",
            Assert.Throws<Falcon.Runtime.UserInputException>(() => Corpus.Read(path)).Message
        );
    }

    [Fact]
    public void Stream_FaultOnALaterLine_GivesTheEarlierRecordsFirst()
    {
        var path = Write("a.jsonl", "{\"text\":\"one\"}\n{broken\n");
        Assert.Equal("one", Corpus.Stream(path).First().Text);
        Assert.Throws<Falcon.Runtime.UserInputException>(() => Corpus.Stream(path).Count());
    }

    /// <summary>Expected: row counts of the data set's own description.</summary>
    [Theory]
    [InlineData("forget10_perturbed.jsonl", 400, 5)]
    [InlineData("retain_perturbed.jsonl", 400, 5)]
    [InlineData("world_facts_perturbed.jsonl", 117, 3)]
    [InlineData("full.jsonl", 4000, 0)]
    public void Read_Tofu_HasThePublishedRows(string name, int rows, int perturbed)
    {
        var records = Corpus.Read(Fixtures.SharedOrSkip("data", "tofu", name));
        Assert.Equal(rows, records.Count);
        Assert.All(records, record => Assert.Equal(perturbed, record.PerturbedAnswers.Count));
        Assert.Equal(Enumerable.Range(1, rows), records.Select(record => record.Line));
    }

    [Fact]
    public void Read_TofuWorldFacts_FindsTheAnswerAmongTheOptions()
    {
        var records = Corpus.Read(Fixtures.SharedOrSkip("data", "tofu", "world_facts.jsonl"));
        Assert.All(records, record => Assert.Equal(record.Answer, record.Choices[record.CorrectChoice!.Value]));
        Assert.All(records, record => Assert.Equal(4, record.Choices.Count));
    }

    /// <summary>Expected: 14 042 questions with 3222, 3462, 3582 and 3776 answers A to D, the published counts.</summary>
    [Fact]
    public void Read_MmluTest_HasThePublishedBalance()
    {
        var files = Directory.GetFiles(Fixtures.SharedOrSkip("data", "mmlu", "test"), "*.csv");
        var records = files.SelectMany(path => Corpus.Read(path)).ToList();
        Assert.Equal(57, records.Select(record => record.Subject).Distinct().Count());
        Assert.Equal(
            [3222, 3462, 3582, 3776],
            Enumerable.Range(0, 4).Select(letter => records.Count(record => record.CorrectChoice == letter))
        );
    }

#pragma warning disable IDE1006 // The names are those of the file's columns.
    private sealed class Item
    {
        public string question { get; set; } = "";
        public List<string> choices { get; set; } = [];
        public long answer { get; set; }
        public string? subject { get; set; }
    }

    private sealed class Bytes
    {
        public byte[] text { get; set; } = [];
    }

    private sealed class Conversation
    {
        public List<Message> messages { get; set; } = [];
    }

    private sealed class Message
    {
        public string role { get; set; } = "";
        public string content { get; set; } = "";
    }
#pragma warning restore IDE1006
}
