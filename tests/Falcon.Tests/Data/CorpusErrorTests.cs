using System.Text;
using Falcon.Data;
using Falcon.Runtime;

namespace Falcon.Tests.Data;

/// <summary>The whole text of every message, with DIR for the folder: what, where, remedy.</summary>
public sealed class CorpusErrorTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private string Write(string name, string text) => Write(name, Encoding.UTF8.GetBytes(text));

    private string Write(string name, byte[] bytes)
    {
        File.WriteAllBytes(_folder.At(name), bytes);
        return _folder.At(name);
    }

    private string Message(string path, string? fields = null) =>
        Assert
            .Throws<UserInputException>(() => Corpus.Read(path, fields))
            .Message.Replace(_folder.Path + Path.DirectorySeparatorChar, "", StringComparison.Ordinal);

    [Theory]
    [InlineData("a.jsonl", "", "a.jsonl: the file is empty; it needs at least one record.")]
    [InlineData(
        "a.jsonl",
        "\n\n",
        "a.jsonl: the file holds no usable record; it needs at least one question with its answer, or one text."
    )]
    [InlineData("a.json", "[]", "a.json: the file holds no usable record; it needs at least one question with its answer, or one text.")]
    [InlineData(
        "a.csv",
        "question,answer\n",
        "a.csv: the file holds no usable record; it needs at least one question with its answer, or one text."
    )]
    [InlineData("a.txt", " \n", "a.txt: the file holds no usable record; it needs at least one question with its answer, or one text.")]
    [InlineData("a.yaml", "a: 1", "a.yaml: the extension \".yaml\" is not known; use one of .jsonl, .json, .csv, .parquet, .txt.")]
    [InlineData("a", "a", "a: the extension \"\" is not known; use one of .jsonl, .json, .csv, .parquet, .txt.")]
    public void Read_NothingToRead_SaysWhat(string name, string text, string expected) =>
        Assert.Equal(expected, Message(Write(name, text)));

    [Fact]
    public void Read_NoFileOrADirectory_SaysWhich()
    {
        Assert.Equal("none.jsonl: no such file; check the path, or fetch the data set first.", Message(_folder.At("none.jsonl")));
        Directory.CreateDirectory(_folder.At("sub"));
        Assert.Equal("sub: this is a directory; name one file in it (.jsonl, .json, .csv, .parquet, .txt).", Message(_folder.At("sub")));
    }

    [Theory]
    [InlineData(
        "{\"text\":\"a\"}\n{\"text\":",
        "a.jsonl, line 2: not valid JSON at byte 9 of the line; every line must be one complete JSON object."
    )]
    [InlineData("{'text':1}", "a.jsonl, line 1: not valid JSON at byte 2 of the line; every line must be one complete JSON object.")]
    [InlineData(
        "{\"text\":\"a\"} {}",
        "a.jsonl, line 1: not valid JSON at byte 14 of the line; every line must be one complete JSON object."
    )]
    [InlineData("{\"text\":\"a\",\"text\":\"b\"}", "a.jsonl, line 1: a field occurs twice in one record; remove one of them.")]
    [InlineData(
        "\n7",
        "a.jsonl, line 2: the record is a number, not an object with fields; write {\"question\": ..., \"answer\": ...} or {\"text\": ...}."
    )]
    [InlineData(
        "{\"question\":\"q\"}",
        "a.jsonl, line 1: the field \"answer\" is missing; found question; add it, or name another with --field answer=NAME."
    )]
    [InlineData(
        "{\"question\":\"q\",\"answer\":null}",
        "a.jsonl, line 1: the field \"answer\" is missing; found question, answer (null); add it, or name another with --field answer=NAME."
    )]
    [InlineData(
        "{\"completion\":\"q\"}",
        "a.jsonl, line 1: the field \"prompt\" is missing; found completion; add it, or name another with --field prompt=NAME."
    )]
    [InlineData(
        "{\"q\":\"q\",\"a\":1}",
        "a.jsonl, line 1: none of the known fields (question and answer, prompt and completion, messages, text); found q, a; name them "
            + "with --field question=NAME,answer=NAME."
    )]
    [InlineData(
        "{}",
        "a.jsonl, line 1: none of the known fields (question and answer, prompt and completion, messages, text); found no fields; name "
            + "them with --field question=NAME,answer=NAME."
    )]
    [InlineData(
        "{\"question\":\"q\",\"answer\":4}",
        "a.jsonl, line 1, field \"answer\": text is needed, found a number; correct the value."
    )]
    [InlineData("{\"text\":[\"q\"]}", "a.jsonl, line 1, field \"text\": text is needed, found a list; correct the value.")]
    [InlineData("{\"text\":\" \"}", "a.jsonl, line 1, field \"text\": the text is blank; fill it in or delete the record.")]
    [InlineData(
        "{\"text\":\"\\ud800\"}",
        "a.jsonl, line 1, field \"text\": an escape such as \\ud800 is half a character; write the whole character."
    )]
    [InlineData(
        "{\"question\":\"q\",\"answer\":\"a\",\"perturbed_answer\":{}}",
        "a.jsonl, line 1, field \"perturbed_answer\": a list of texts is needed, found an object; correct the value."
    )]
    [InlineData(
        "{\"question\":\"q\",\"answer\":\"a\",\"perturbed_answer\":[true]}",
        "a.jsonl, line 1, field \"perturbed_answer[0]\": text is needed, found true or false; correct the value; "
            + "no entry of a list is ever left out."
    )]
    [InlineData(
        "{\"question\":\"q\",\"choices\":[\"x\"],\"answer\":0}",
        "a.jsonl, line 1, field \"choices\": at least 2 choices are needed, found 1."
    )]
    [InlineData(
        "{\"question\":\"q\",\"choices\":[\"x\",\"y\"],\"answer\":2}",
        "a.jsonl, line 1, field \"answer\": \"2\" names none of the 2 choices; give the index from 0, the letter, or the text of one."
    )]
    [InlineData(
        "{\"question\":\"q\",\"choices\":[\"x\",\"y\"],\"answer\":[0]}",
        "a.jsonl, line 1, field \"answer\": the index, letter or text of the correct choice is needed, found a list; correct the value."
    )]
    [InlineData(
        "{\"messages\":\"hi\"}",
        "a.jsonl, line 1, field \"messages\": a list of objects with role and content is needed, found text; correct the value."
    )]
    [InlineData(
        "{\"messages\":[{\"role\":\"user\"}]}",
        "a.jsonl, line 1, field \"messages[0].content\": text is needed; every message has a role and a content."
    )]
    [InlineData(
        "{\"messages\":[{\"role\":\"human\",\"content\":\"x\"}]}",
        "a.jsonl, line 1, field \"messages\": the role \"human\" is not known; use system, developer, user, assistant, tool."
    )]
    [InlineData(
        "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}",
        "a.jsonl, line 1, field \"messages\": the conversation must end with the assistant's answer, but its last message is of the role "
            + "\"user\"; add the answer or take the messages after it out."
    )]
    public void Read_FaultyJsonLines_NamesLineFieldAndRemedy(string text, string expected) =>
        Assert.Equal(expected, Message(Write("a.jsonl", text)));

    [Theory]
    [InlineData(
        "{\"text\":\n\"a\"}",
        "a.json: the file must hold a JSON array of records; put the records in [ ], or use .jsonl with one object a line."
    )]
    [InlineData(
        "{\"text\":\"a\"}\n{\"text\":",
        "a.json, line 2: not valid JSON at byte 9 of the line; every line must be one complete JSON object."
    )]
    [InlineData(
        "[\n{\"text\":\"a\"},\n{\"text\" \"b\"}]",
        "a.json, line 3: not valid JSON at byte 9 of the line; the file must hold one JSON array; if it holds one object a line, name it "
            + ".jsonl."
    )]
    [InlineData(
        "[\n{\"text\":\"a\"}\n",
        "a.json, line 3: not valid JSON at byte 1 of the line; the file must hold one JSON array; if it holds one object a line, name it "
            + ".jsonl."
    )]
    [InlineData("[\n{\"text\":\"a\",\n\"text\":\"b\"}]", "a.json, line 2: a field occurs twice in one record; remove one of them.")]
    [InlineData(
        "[\n{\"text\":\"a\"},\n{\"text\":5}]",
        "a.json, line 3, field \"text\": text is needed, found a number; correct the value."
    )]
    public void Read_FaultyJson_NamesLineFieldAndRemedy(string text, string expected) =>
        Assert.Equal(expected, Message(Write("a.json", text)));

    [Theory]
    [InlineData(
        "question,answer\na,b\nc\n",
        "a.csv, line 3: 1 cells where the header has 2; put cells with commas or line ends in double quotes."
    )]
    [InlineData("question,question\na,b\n", "a.csv, line 1: a column name occurs twice in the header; give every column its own name.")]
    [InlineData(
        "question,answer\na,b\"c\n",
        "a.csv, line 2: a double quote inside a cell that is not quoted; quote the cell and double the quotes in it."
    )]
    [InlineData(
        "question,answer\na,\"b\"c\n",
        "a.csv, line 2: text after the closing quote of a cell; double the quotes inside a quoted cell."
    )]
    [InlineData("question,answer\na,\"b\nc\n", "a.csv, line 2: a quoted cell is never closed; add the missing double quote.")]
    [InlineData("question,answer\na,\n", "a.csv, line 2, field \"answer\": the text is blank; fill it in or delete the record.")]
    [InlineData(
        "q,w,x,y,z,C\nq,w,x,y,z,E\n",
        "a.csv, line 2, field \"answer\": \"E\" names none of the 4 choices; give the index from 0, the letter, or the text of one."
    )]
    public void Read_FaultyCsv_NamesLineAndRemedy(string text, string expected) => Assert.Equal(expected, Message(Write("a.csv", text)));

    [Theory]
    [InlineData("question", "field names \"question\": \"question\" is not NAME=FIELD; write for instance question=q,answer=a.")]
    [InlineData(
        "question=q,query=a",
        "field names \"question=q,query=a\": \"query\" is not a known field; use question, answer, prompt, completion, messages, "
            + "text, choices, subject, paraphrased_question, paraphrased_answer, perturbed_answer, input_ids, labels."
    )]
    [InlineData("text=a,text=b", "field names \"text=a,text=b\": \"text\" is named twice; name it once.")]
    [InlineData("text=body", "a.jsonl, line 1: the field \"body\" is missing; found text; add it, or name another with --field text=NAME.")]
    public void Read_FaultyFieldNames_SaysWhich(string fields, string expected) =>
        Assert.Equal(expected, Message(Write("a.jsonl", "{\"text\":\"a\"}"), fields));

    [Fact]
    public void Read_FieldNamesForATextFile_AreRefused() =>
        Assert.Equal(
            "a.txt: a .txt file has no fields; leave out the field names \"text=body\".",
            Message(Write("a.txt", "one"), "text=body")
        );

    [Theory]
    [InlineData("a.jsonl")]
    [InlineData("a.json")]
    [InlineData("a.csv")]
    [InlineData("a.txt")]
    public void Read_InvalidUtf8_NamesLineAndByte(string name)
    {
        byte[] bytes = [(byte)'\n', (byte)'x', 0xC3, (byte)'(', (byte)'\n'];
        Assert.Equal($"{name}, line 2: invalid UTF-8 at byte 2 of the line; save the file as UTF-8.", Message(Write(name, bytes)));
    }

    [Fact]
    public void Read_Utf16_IsNamed() =>
        Assert.Equal(
            "a.txt: the file is UTF-16; save it as UTF-8.",
            Message(Write("a.txt", [.. Encoding.Unicode.Preamble, .. Encoding.Unicode.GetBytes("text")]))
        );

    [Fact]
    public void Read_DamagedParquet_IsNamed()
    {
        var message = Message(Write("a.parquet", "this is not a Parquet file at all"));
        Assert.StartsWith("a.parquet: not a readable Parquet file (", message, StringComparison.Ordinal);
        Assert.EndsWith("); download it again.", message, StringComparison.Ordinal);
    }
}
