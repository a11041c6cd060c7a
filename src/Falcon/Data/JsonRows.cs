using System.Text.Json;
using Falcon.Runtime;

namespace Falcon.Data;

/// <summary>A record before its fields are read.</summary>
/// <param name="Value">The fields; a JSON object, or a JSON string for a bare text. Unused where there are columns.</param>
/// <param name="Line">Line or row, from 1.</param>
/// <param name="Place">Line or row for messages: <c>line 3</c>, <c>row 3</c>.</param>
internal readonly record struct CorpusRow(JsonElement Value, int Line, string Place)
{
    /// <summary>The names of the columns, for a row whose fields are read one by one; null for a row that is read whole.</summary>
    public IReadOnlyList<string>? Columns { get; init; }

    /// <summary>Reads a field of such a row; null for one that is null or not there.</summary>
    public Func<string, JsonElement?>? Column { get; init; }
}

/// <summary>JSON lines, and JSON arrays.</summary>
internal static class JsonRows
{
    private static readonly JsonDocumentOptions Options = new() { AllowDuplicateProperties = false };

    public static IEnumerable<CorpusRow> ReadLines(string path)
    {
        foreach (var (text, line) in Utf8Lines.Read(path))
        {
            if (string.IsNullOrWhiteSpace(text)) continue;
            yield return new CorpusRow(ParseLine(path, text, line), line, $"line {line}");
        }
    }

    /// <summary>A <c>.json</c> file: an array of records, or one object a line, as on the Hugging Face hub.</summary>
    public static IEnumerable<CorpusRow> ReadArrayOrLines(string path) => HoldsLines(path) ? ReadLines(path) : ReadArray(path);

    /// <summary>Whether the first non-blank line is a complete object.</summary>
    private static bool HoldsLines(string path)
    {
        var first = Utf8Lines.Read(path).Select(line => line.Text).FirstOrDefault(text => !string.IsNullOrWhiteSpace(text));
        if (first is null || !first.AsSpan().TrimStart().StartsWith("{")) return false;
        try
        {
            return JsonElement.Parse(first, Options).ValueKind == JsonValueKind.Object;
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException)
        {
            return false;
        }
    }

    private static JsonElement ParseLine(string path, string text, int line)
    {
        try
        {
            return JsonElement.Parse(text, Options);
        }
        catch (JsonException error)
        {
            throw Malformed(path, line, error, "every line must be one complete JSON object");
        }
        catch (InvalidOperationException error)
        {
            throw HalfCharacter(path, line, error);
        }
    }

    /// <summary>The elements of a JSON array, each with the line it starts at.</summary>
    private static IEnumerable<CorpusRow> ReadArray(string path)
    {
        var bytes = Utf8Lines.ReadAllBytes(path);
        var elements = new List<(int Start, int Length)>();
        try
        {
            var reader = new Utf8JsonReader(bytes.Span);
            reader.Read();
            if (reader.TokenType != JsonTokenType.StartArray)
                throw new UserInputException(
                    $"{path}: the file must hold a JSON array of records; put the records in [ ], or use .jsonl with one object a line."
                );
            while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
            {
                var start = (int)reader.TokenStartIndex;
                reader.Skip();
                elements.Add((start, (int)reader.BytesConsumed - start));
            }
            while (reader.Read()) { }
        }
        catch (JsonException error)
        {
            const string remedy = "the file must hold one JSON array; if it holds one object a line, name it .jsonl";
            throw Malformed(path, (int)(error.LineNumber ?? 0) + 1, error, remedy);
        }
        return Elements(path, bytes, elements);
    }

    private static IEnumerable<CorpusRow> Elements(string path, ReadOnlyMemory<byte> bytes, List<(int Start, int Length)> elements)
    {
        var (line, position) = (1, 0);
        foreach (var (start, length) in elements)
        {
            line += bytes.Span[position..start].Count((byte)'\n');
            position = start;
            JsonElement value;
            try
            {
                value = JsonElement.Parse(bytes.Span.Slice(start, length), Options);
            }
            catch (JsonException error)
            {
                throw Malformed(path, line, error, "no record may have the same field twice");
            }
            catch (InvalidOperationException error)
            {
                throw HalfCharacter(path, line, error);
            }
            yield return new CorpusRow(value, line, $"line {line}");
        }
    }

    // The parser compares the names of fields as text.
    private static UserInputException HalfCharacter(string path, int line, InvalidOperationException error) =>
        new($"{path}, line {line}: the name of a field has an escape such as \\ud800, which is half a character; correct the name.", error);

    private static UserInputException Malformed(string path, int line, JsonException error, string remedy) =>
        error.Message.Contains("uplicate", StringComparison.Ordinal)
            ? new($"{path}, line {line}: a field occurs twice in one record; remove one of them.", error)
            : new($"{path}, line {line}: not valid JSON at byte {(error.BytePositionInLine ?? 0) + 1} of the line; {remedy}.", error);
}
