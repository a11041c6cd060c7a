using System.Text.Json;
using Falcon.Data.Rows;
using Falcon.Runtime;

namespace Falcon.Data;

/// <summary>
/// Turns the fields of a row into a record, under the usual field names or the names that the user gave.
/// </summary>
internal sealed partial class RecordLayout
{
    private static readonly string[] Known =
    [
        "question", "answer", "prompt", "completion", "messages", "text", "choices", "subject", "paraphrased_question",
        "paraphrased_answer", "perturbed_answer", "input_ids", "labels",
    ];
    private static readonly string[] Roles = ["system", "developer", "user", "assistant", "tool"];

    private readonly string _path;
    private readonly bool _tokenIds;
    private readonly Dictionary<string, string> _names = [];

    /// <param name="path">The file, for messages.</param>
    /// <param name="fields">Names of fields that the user gave; null for none.</param>
    /// <param name="tokenIds">Whether rows of <c>input_ids</c> are wanted; otherwise they are refused.</param>
    public RecordLayout(string path, string? fields, bool tokenIds = false)
    {
        (_path, _tokenIds) = (path, tokenIds);
        foreach (var part in fields?.Split(',', StringSplitOptions.TrimEntries) ?? [])
        {
            if (part.Split('=', 2, StringSplitOptions.TrimEntries) is not [{ Length: > 0 } ours, { Length: > 0 } theirs])
                throw new UserInputException(
                    $"field names \"{fields}\": \"{part}\" is not NAME=FIELD; write for instance question=q,answer=a."
                );
            if (!Known.Contains(ours))
                throw new UserInputException(
                    $"field names \"{fields}\": \"{ours}\" is not a known field; use {string.Join(", ", Known)}."
                );
            if (!_names.TryAdd(ours, theirs))
                throw new UserInputException($"field names \"{fields}\": \"{ours}\" is named twice; name it once.");
        }
    }

    public CorpusRecord ToRecord(CorpusRow row)
    {
        if (row.Columns is null && row.Value.ValueKind == JsonValueKind.String)
            return new CorpusRecord(null, null, NotBlank(row, "text", row.Value), row.Line);
        if (row.Columns is null && row.Value.ValueKind != JsonValueKind.Object)
            throw new UserInputException(
                $"{_path}, {row.Place}: the record is {Kind(row.Value)}, not an object with fields; "
                    + "write {\"question\": ..., \"answer\": ...} or {\"text\": ...}."
            );
        return Shape(row) switch
        {
            "question" => WithQuestion(row, "question", "answer"),
            "prompt" => WithQuestion(row, "prompt", "completion"),
            "messages" => WithMessages(row),
            "text" => new CorpusRecord(null, null, NotBlank(row, "text", Required(row, "text")), row.Line)
            {
                Subject = Optional(row, "subject"),
            },
            "input_ids" => WithTokenIds(row),
            _ => throw new UserInputException(
                $"{_path}, {row.Place}: none of the known fields (question and answer, prompt and completion, messages, text); "
                    + $"found {Found(row)}; name them with --field question=NAME,answer=NAME."
            ),
        };
    }

    /// <summary>
    /// The layout that the user named, else the first with all fields present, else the first with one field present; null for none.
    /// </summary>
    private string? Shape(CorpusRow row)
    {
        string[][] shapes = [["question", "answer"], ["prompt", "completion"], ["messages"], ["text"], ["input_ids"]];
        return (shapes.FirstOrDefault(shape => shape.Any(_names.ContainsKey))
            ?? shapes.FirstOrDefault(shape => shape.All(name => Find(row, name) is not null))
            ?? shapes.FirstOrDefault(shape => shape.Any(name => Find(row, name) is not null)))?[0];
    }

    private CorpusRecord WithQuestion(CorpusRow row, string question, string answer)
    {
        var choices = Choices(row, out var answerIsText);
        var correct = choices.Count == 0 ? null : (int?)CorrectChoice(row, answer, choices, answerIsText);
        return new CorpusRecord(
            NotBlank(row, question, Required(row, question)),
            correct is { } index ? choices[index] : NotBlank(row, answer, Required(row, answer)),
            null,
            row.Line
        )
        {
            ParaphrasedQuestion = Optional(row, "paraphrased_question"),
            ParaphrasedAnswer = Optional(row, "paraphrased_answer"),
            PerturbedAnswers = Find(row, "perturbed_answer") is { } perturbed ? Texts(row, "perturbed_answer", perturbed) : [],
            Choices = choices,
            CorrectChoice = correct,
            Subject = Optional(row, "subject") ?? (correct is null ? null : SubjectOfFileName()),
        };
    }

    private CorpusRecord WithTokenIds(CorpusRow row)
    {
        if (!_tokenIds)
            throw new UserInputException(
                $"{_path}, {row.Place}: the row holds token ids (input_ids), and words are needed here; give question and answer, "
                    + "messages or text."
            );
        var (ids, from) = TokenIds.Read(
            $"{_path}, {row.Place}",
            Required(row, "input_ids"),
            Find(row, "labels"),
            Find(row, "attention_mask")
        );
        return new CorpusRecord(null, null, null, row.Line) { TokenIds = ids, AnswerFrom = from };
    }

    private CorpusRecord WithMessages(CorpusRow row)
    {
        var value = Required(row, "messages");
        if (value.ValueKind != JsonValueKind.Array) throw WrongType(row, "messages", value, "a list of objects with role and content");
        var messages = value.EnumerateArray().Select((message, index) => new ChatMessage(
            MessagePart(row, message, index, "role"), MessagePart(row, message, index, "content"))).ToList();
        if (messages.FirstOrDefault(message => !Roles.Contains(message.Role)) is { } odd)
            throw new UserInputException(
                $"{_path}, {row.Place}, field \"{Name("messages")}\": the role \"{odd.Role}\" is not known; use {string.Join(", ", Roles)}."
            );
        if (messages is [] or [.., { Role: not "assistant" }])
            throw new UserInputException(
                $"{_path}, {row.Place}, field \"{Name("messages")}\": the conversation must end with the assistant's answer, but "
                    + $"{(messages.Count == 0 ? "it is empty" : $"its last message is of the role \"{messages[^1].Role}\"")}; add the "
                    + "answer or take the messages after it out."
            );
        if (messages is [.., { Role: "assistant" }, _])
            throw new UserInputException(
                $"{_path}, {row.Place}, field \"{Name("messages")}\": the last two messages are both the assistant's, so it is not clear "
                    + "which one is the answer; join them or take one out."
            );
        var asked = messages.FindLastIndex(message => message.Role == "user");
        if (asked < 0)
            throw new UserInputException(
                $"{_path}, {row.Place}, field \"{Name("messages")}\": no user message before the assistant's answer; add it."
            );
        return new CorpusRecord(messages[asked].Content, messages[^1].Content, null, row.Line)
        {
            Messages = messages,
            Subject = Optional(row, "subject"),
            File = _path,
        };
    }

    private string MessagePart(CorpusRow row, JsonElement message, int index, string part)
    {
        var place = $"{_path}, {row.Place}, field \"{Name("messages")}[{index}].{part}\"";
        if (message.ValueKind != JsonValueKind.Object || !message.TryGetProperty(part, out var value))
            throw new UserInputException($"{place}: text is needed; every message has a role and a content.");
        if (value.ValueKind == JsonValueKind.Array && part == "content")
            return MessageParts.Joined(value, place, text => Text(row, "messages", text));
        if (value.ValueKind == JsonValueKind.String) return Text(row, "messages", value);
        var calls = value.ValueKind == JsonValueKind.Null && message.TryGetProperty("tool_calls", out _);
        throw new UserInputException(
            calls
                ? $"{place}: the message calls tools and has no text, which is not supported; take such conversations out."
                : $"{place}: text is needed, found {Kind(value)}; every message has a role and a content."
        );
    }

    private string? Optional(CorpusRow row, string field) =>
        Find(row, field) is { } value ? Text(row, field, value) : _names.ContainsKey(field) ? Text(row, field, Required(row, field)) : null;

    private string NotBlank(CorpusRow row, string field, JsonElement value)
    {
        var text = Text(row, field, value);
        return string.IsNullOrWhiteSpace(text)
            ? throw new UserInputException(
                $"{_path}, {row.Place}, field \"{Name(field)}\": the text is blank; fill it in or delete the record."
            )
            : text;
    }

    private string Text(CorpusRow row, string field, JsonElement value)
    {
        if (value.ValueKind != JsonValueKind.String) throw WrongType(row, field, value, "text");
        try
        {
            return value.GetString()!;
        }
        catch (InvalidOperationException error)
        {
            throw new UserInputException(
                $"{_path}, {row.Place}, field \"{Name(field)}\": an escape such as \\ud800 is half a character; write the whole character.",
                error
            );
        }
    }

    private JsonElement Required(CorpusRow row, string field) =>
        Find(row, field)
        ?? throw new UserInputException(
            $"{_path}, {row.Place}: the field \"{Name(field)}\" is missing; found {Found(row)}; "
                + $"add it, or name another with --field {field}=NAME."
        );

    private JsonElement? Find(CorpusRow row, string field) => Member(row, Name(field));

    private JsonElement? Member(CorpusRow row, string name)
    {
        if (row.Column is { } column) return column(name);
        try
        {
            return row.Value.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;
        }
        catch (InvalidOperationException error)
        {
            throw new UserInputException(
                $"{_path}, {row.Place}: the name of a field has an escape such as \\ud800, which is half a character; correct the name.",
                error
            );
        }
    }

    private string Name(string field) => _names.GetValueOrDefault(field, field);

    private string? SubjectOfFileName()
    {
        var name = Path.GetFileNameWithoutExtension(_path);
        return
            Path.GetExtension(_path) == ".csv" && name.LastIndexOf('_') is > 0 and var end && name[(end + 1)..] is "test" or "dev" or "val"
            ? name[..name.LastIndexOf('_')]
            : null;
    }

    private UserInputException WrongType(CorpusRow row, string field, JsonElement value, string needed) =>
        new($"{_path}, {row.Place}, field \"{Name(field)}\": {needed} is needed, found {Kind(value)}; correct the value.");

    private static string Found(CorpusRow row)
    {
        List<string> names = row.Columns is { } columns
            ? [.. columns]
            :
            [
                .. row.Value.EnumerateObject()
                    .Select(field => field.Value.ValueKind == JsonValueKind.Null ? $"{NameOf(field)} (null)" : NameOf(field)),
            ];
        return names.Count == 0 ? "no fields" : string.Join(", ", names);
    }

    // A name such as "\ud800" is half a character, which a text cannot hold.
    private static string NameOf(JsonProperty field)
    {
        try
        {
            return field.Name;
        }
        catch (InvalidOperationException)
        {
            return "a name with half a character";
        }
    }

    private static string Kind(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Object => "an object",
        JsonValueKind.Array => "a list",
        JsonValueKind.String => "text",
        JsonValueKind.Number => "a number",
        JsonValueKind.True or JsonValueKind.False => "true or false",
        _ => "null",
    };
}
