using System.IO.Compression;
using Falcon.Data;
using Falcon.Runtime;
using Parquet;
using Parquet.Schema;
using Parquet.Serialization;

namespace Falcon.Tests.Data;

/// <summary>Data files as they are found: options with a letter, nulls among choices, columns that nobody uses, compressed files.</summary>
public sealed class FoundDataTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private string Write(string name, string text)
    {
        File.WriteAllText(_folder.At(name), text);
        return _folder.At(name);
    }

    private static string Refusal(string path) => Assert.Throws<UserInputException>(() => Corpus.Read(path)).Message;

    [Fact]
    public void Read_OptionsWithALetter_AreChoices()
    {
        var record = Assert.Single(
            Corpus.Read(
                Write(
                    "a.jsonl",
                    """{"question":"Q?","answer":"It is two.","options":["It is one.","It is two.","It is one."],"letter":"B"}"""
                )
            )
        );
        Assert.Equal(["It is one.", "It is two.", "It is one."], record.Choices);
        Assert.Equal((1, "It is two."), (record.CorrectChoice, record.Answer));
    }

    [Theory]
    [InlineData("""{"question":"Q?","options":["a","b"],"letter":"B"}""", 1)] // no answer beside the letter
    [InlineData("""{"question":"Q?","options":["a","b"],"answer":"b"}""", 1)]
    [InlineData("""{"question":"Q?","options":["a","b"],"answer":0}""", 0)]
    [InlineData("""{"question":"Q?","options":["1","2","3","4","5","6","7","8","9","10"],"letter":"J"}""", 9)]
    [InlineData("""{"question":"Q?","choices":["1","2","3","4","5","6","7","8","9","10"],"answer":"J"}""", 9)]
    [InlineData("""{"question":"Q?","choices":["a","b","c","d","e","f","g","h","i","j"],"answer":"h"}""", 7)]
    public void Read_ChoicesOfAnyNumber_AnswerAsLetterIndexOrText(string line, int correct) =>
        Assert.Equal(correct, Assert.Single(Corpus.Read(Write("a.jsonl", line))).CorrectChoice);

    [Theory]
    [InlineData("""{"question":"Q?","answer":"a","options":["a","b"],"letter":"C"}""", "give a letter from A to B")]
    [InlineData("""{"question":"Q?","answer":"a","options":["a","b"],"letter":"B"}""", "field \"letter\" names \"b\"")]
    [InlineData(
        """{"question":"Q?","answer":"a","options":["a",null,"c"],"letter":"C"}""",
        "field \"options[1]\": text is needed, found null"
    )]
    [InlineData("""{"question":"Q?","answer":1,"choices":["a",null,"c"]}""", "field \"choices[1]\": text is needed, found null")]
    [InlineData("""{"question":"Q?","answer":"B","A":"a","B":"b","C":null,"D":"d"}""", "\"C\" is missing or null, but \"D\" is there")]
    public void Read_ChoicesThatDoNotFit_AreRefusedWithTheField(string line, string said)
    {
        var message = Refusal(Write("a.jsonl", line));
        Assert.Contains("a.jsonl, line 1", message, StringComparison.Ordinal);
        Assert.Contains(said, message, StringComparison.Ordinal);
    }

    private sealed class Item
    {
        public string? Question { get; set; }

        public List<string?>? Choices { get; set; }

        public int Answer { get; set; }

        public double Score { get; set; }

        public byte[]? Image { get; set; }
    }

    private string Parquet(params Item[] items)
    {
        var path = _folder.At("a.parquet");
        using var stream = File.Create(path);
        ParquetSerializer.SerializeAsync(items, stream, new ParquetOptions()).GetAwaiter().GetResult();
        return path;
    }

    [Fact]
    public void Read_ParquetWithANullAmongChoices_IsRefusedWithRowAndField()
    {
        Item Of(params string?[] choices) =>
            new()
            {
                Question = "Q?",
                Choices = [.. choices],
                Answer = 1,
            };
        var path = Parquet(Of("a", "b", "c"), Of("a", null, "c"));
        var message = Assert.Throws<UserInputException>(() => Corpus.Read(path, "question=Question,choices=Choices,answer=Answer")).Message;
        Assert.Contains("a.parquet, row 2, field \"Choices[1]\": text is needed, found null", message, StringComparison.Ordinal);
    }

    [Fact]
    public void Read_ParquetWithColumnsThatNobodyUses_DoesNotReadThem()
    {
        var path = Parquet(
            new Item
            {
                Question = "Q?",
                Choices = ["a", "b"],
                Answer = 1,
                Score = double.NaN,
                Image = [0xFF, 0xD8, 0xFF],
            },
            new Item
            {
                Question = "R?",
                Choices = ["c", "d"],
                Answer = 0,
                Score = double.PositiveInfinity,
                Image = [0x80],
            }
        );
        var records = Corpus.Read(path, "question=Question,choices=Choices,answer=Answer");
        Assert.Equal(["b", "c"], records.Select(record => record.Answer));

        var asText = Assert.Throws<UserInputException>(() => Corpus.Read(path, "text=Image")).Message;
        Assert.Contains("row 1, field \"Image\": invalid UTF-8 in a column of bytes", asText, StringComparison.Ordinal);
        var asNumber = Assert.Throws<UserInputException>(() => Corpus.Read(path, "text=Score")).Message;
        Assert.Contains("row 1, field \"Score\": NaN is no value", asNumber, StringComparison.Ordinal);
    }

    // Rows of a list with every kind of absence: null, empty, an element that is null.
    [Fact]
    public async Task Read_ParquetListsWithAbsentValues_KeepTheirPlaces()
    {
        var path = Parquet(
            new Item
            {
                Question = "1",
                Choices = ["a", "b"],
                Answer = 0,
            },
            new Item
            {
                Question = "2",
                Choices = null,
                Answer = 0,
            },
            new Item
            {
                Question = "3",
                Choices = [],
                Answer = 0,
            },
            new Item
            {
                Question = "4",
                Choices = [null, "x"],
                Answer = 0,
            }
        );
        await using var reader = await ParquetReader.CreateAsync(path, cancellationToken: TestContext.Current.CancellationToken);
        using var group = reader.OpenRowGroupReader(0);
        Field column = reader.Schema.Fields.Single(field => field.Name == "Choices");
        var rows = Falcon.Data.Columns.ParquetColumn.Read(group, column);
        Assert.Equal(["[\"a\",\"b\"]", "null", "[]", "[null,\"x\"]"], rows.Rows.Select(row => row?.ToJsonString() ?? "null"));
    }

    [Theory]
    [InlineData("a.jsonl")]
    [InlineData("a.json")]
    [InlineData("a.csv")]
    [InlineData("a.txt")]
    public void Read_CompressedContent_IsSaid(string name)
    {
        using (var stream = new GZipStream(File.Create(_folder.At(name)), CompressionLevel.Fastest))
            stream.Write("""{"text":"a"}"""u8);
        Assert.EndsWith(
            $"{name}: the file is compressed with gzip, not text; decompress it (gunzip) first.",
            Refusal(_folder.At(name)),
            StringComparison.Ordinal
        );
    }

    [Theory]
    [InlineData("a.jsonl")]
    [InlineData("a.parquet")]
    public void Read_GitLfsPointer_IsSaid(string name) =>
        Assert.Contains(
            "this is a Git LFS pointer",
            Refusal(Write(name, "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n")),
            StringComparison.Ordinal
        );

    [Fact]
    public void Read_FieldNameOfHalfACharacter_IsRefusedWithTheLine()
    {
        var path = Write("a.jsonl", "{\"question\":\"q\",\"answer\":\"a\",\"\\ud800\":1}\n");
        try
        {
            Assert.Equal("a", Assert.Single(Corpus.Read(path)).Answer);
        }
        catch (UserInputException error)
        {
            Assert.Contains("a.jsonl, line 1", error.Message, StringComparison.Ordinal);
        }
    }

    // Files that made earlier readers crash or hang; each is read, or refused with its name.
    [Theory]
    [InlineData("bytes-in-unused-column.parquet")]
    [InlineData("nan-in-unused-column.parquet")]
    [InlineData("null-in-choices.parquet")]
    [InlineData("json-EX1.json")]
    [InlineData("min-lone-surrogate-key.jsonl")]
    [InlineData("parquet-HANG-s3.parquet")]
    [InlineData("parquet-HANG-s4.parquet")]
    public void Read_FaultyFile_IsReadOrRefused(string name)
    {
        var path = Fixtures.SharedOrSkip("fixtures", "faults", name);
        try
        {
            Assert.NotEmpty(Corpus.Read(path));
            Assert.NotEqual("null-in-choices.parquet", name);
        }
        catch (UserInputException error)
        {
            Assert.StartsWith(path, error.Message, StringComparison.Ordinal);
            Assert.DoesNotContain("unused-column", error.Message, StringComparison.Ordinal);
        }
    }
}
