using System.Text.Json;
using Falcon.Runtime;

namespace Falcon.Tokenization;

/// <summary>A value of a tokenizer file with its place, so that every error names the file and the key.</summary>
internal readonly record struct TokenizerSection(JsonElement Json, string File, string Key)
{
    public bool IsNull => Json.ValueKind is JsonValueKind.Null or JsonValueKind.Undefined;

    /// <summary>The member of that name; a section that <see cref="IsNull"/> if there is none.</summary>
    public TokenizerSection this[string name]
    {
        get
        {
            var key = Key.Length == 0 ? name : $"{Key}.{name}";
            return new(Json.ValueKind == JsonValueKind.Object && Json.TryGetProperty(name, out var member) ? member : default, File, key);
        }
    }

    public string Text()
    {
        if (Json.ValueKind != JsonValueKind.String) throw Unsupported($"text expected, found {Found}");
        var json = Json;
        return Unescaped(() => json.GetString()!);
    }

    public string? TextOrNull() => IsNull ? null : Text();

    public bool Flag(bool whenAbsent) => Json.ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        JsonValueKind.Null or JsonValueKind.Undefined => whenAbsent,
        _ => throw Unsupported($"true or false expected, found {Found}"),
    };

    public int Number() =>
        Json.ValueKind == JsonValueKind.Number && Json.TryGetInt32(out var number) && number >= 0
            ? number
            : throw Unsupported($"a whole number from 0 expected, found {Found}");

    public IEnumerable<TokenizerSection> Items()
    {
        if (Json.ValueKind != JsonValueKind.Array) throw Unsupported($"a list expected, found {Found}");
        var (file, key) = (File, Key);
        return Json.EnumerateArray().Select((item, index) => new TokenizerSection(item, file, $"{key}[{index}]"));
    }

    public IEnumerable<(string Name, TokenizerSection Value)> Members()
    {
        if (Json.ValueKind != JsonValueKind.Object) throw Unsupported($"an object expected, found {Found}");
        var (file, key) = (File, Key);
        var section = this;
        return Json.EnumerateObject()
            .Select(member => (section.Unescaped(() => member.Name), new TokenizerSection(member.Value, file, key)));
    }

    public UnsupportedCheckpointException Unsupported(string problem) => new($"{File}: {Key}: {problem}.");

    private string Unescaped(Func<string> read)
    {
        try
        {
            return read();
        }
        catch (InvalidOperationException error)
        {
            throw new UnsupportedCheckpointException($"{File}: {Key}: a text in it is not valid Unicode.", error);
        }
    }

    private string Found => Json.ValueKind == JsonValueKind.Undefined ? "nothing" : Json.ValueKind.ToString().ToLowerInvariant();
}
