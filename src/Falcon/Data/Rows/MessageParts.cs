using System.Text.Json;
using Falcon.Runtime;

namespace Falcon.Data.Rows;

/// <summary>Content in parts, as chat services write it; the texts belong together as they stand.</summary>
internal static class MessageParts
{
    /// <summary>The text of all parts.</summary>
    /// <param name="parts">A list of texts, or of objects with <c>type</c> text and <c>text</c>.</param>
    /// <param name="place">File, line and field, for messages.</param>
    /// <param name="text">Reads a JSON text.</param>
    /// <exception cref="UserInputException">There is no part, or one that is no text.</exception>
    public static string Joined(JsonElement parts, string place, Func<JsonElement, string> text)
    {
        List<string> texts = [];
        foreach (var (part, index) in parts.EnumerateArray().Select((part, index) => (part, index)))
        {
            var type = Member(part, "type")?.GetString();
            var content = part.ValueKind == JsonValueKind.String ? part : Member(part, "text");
            if (content is null || type is not (null or "text"))
                throw new UserInputException(
                    $"{place}[{index}]: only parts of text are read, found {(type is null ? "something else" : $"the type \"{type}\"")}; "
                        + "take the part or the record out."
                );
            texts.Add(text(content.Value));
        }

        return texts.Count > 0
            ? string.Concat(texts)
            : throw new UserInputException($"{place}: the list of parts is empty; give the message a text.");
    }

    private static JsonElement? Member(JsonElement part, string name) =>
        part.ValueKind == JsonValueKind.Object && part.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String
            ? value
            : null;
}
