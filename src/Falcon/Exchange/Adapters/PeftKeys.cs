using System.Text.Json;
using Falcon.Runtime;

namespace Falcon.Exchange.Adapters;

/// <summary>The keys of an adapter_config.json with their types, and which of them were read.</summary>
/// <param name="path">The file, for messages.</param>
/// <param name="root">Its object.</param>
internal sealed class PeftKeys(string path, JsonElement root)
{
    private readonly HashSet<string> _read = [];

    /// <summary>The file.</summary>
    public string Path => path;

    /// <summary>An error about a value.</summary>
    public UnsupportedCheckpointException Unsupported(string key, string value, string reason) =>
        new($"{path}: {key} is {value}: {reason}. Nothing was merged.");

    /// <summary>Counts a key as read.</summary>
    public void PassOver(string key) => _read.Add(key);

    /// <summary>A true or false; false where absent or null.</summary>
    public bool Flag(string key) =>
        Find(key) is { } value
        && (
            value.ValueKind switch
            {
                JsonValueKind.True => true,
                JsonValueKind.False => false,
                _ => throw Unsupported(key, value.GetRawText(), "true or false is expected"),
            }
        );

    /// <summary>A text; <paramref name="missing"/> where absent or null.</summary>
    public string Text(string key, string missing) => TextOrNull(key) ?? missing;

    /// <summary>A text; null where absent, null, true or false.</summary>
    public string? TextOrNull(string key) =>
        Find(key) is not { } value || value.ValueKind is JsonValueKind.True or JsonValueKind.False ? null
        : value.ValueKind == JsonValueKind.String ? value.GetString()
        : throw Unsupported(key, value.GetRawText(), "a text is expected");

    /// <summary>A whole number.</summary>
    public int Whole(string key, int missing) => Find(key) is { } value ? Whole(key, value) : missing;

    /// <summary>A number.</summary>
    public double Number(string key, double missing) => Find(key) is { } value ? Number(key, value) : missing;

    /// <summary>A list of whole numbers, or one of them; empty where absent or null.</summary>
    public IEnumerable<int> Numbers(string key) =>
        Find(key) is not { } value ? []
        : value.ValueKind == JsonValueKind.Array ? value.EnumerateArray().Select(one => Whole(key, one))
        : [Whole(key, value)];

    /// <summary>A list of texts, or one of them; empty where absent or null.</summary>
    public IReadOnlyList<string> Texts(string key) =>
        Find(key) is not { } value ? []
        : value.ValueKind == JsonValueKind.Array ? [.. value.EnumerateArray().Select(one => TextOf(key, one))]
        : [TextOf(key, value)];

    /// <summary>A list of names or a regular expression; null where absent, null or empty.</summary>
    public ModuleSelection? Selection(string key)
    {
        if (Find(key) is not { } value)
            return null;
        if (value.ValueKind == JsonValueKind.String)
            return value.GetString() is { Length: > 0 } pattern ? new ModuleSelection(pattern, $"{path}: {key}") : null;
        return Texts(key) is { Count: > 0 } names ? new ModuleSelection(names) : null;
    }

    /// <summary>An object of regular expressions with numbers, in the order of the file.</summary>
    public IReadOnlyList<(string Pattern, double Value)> Patterns(string key) =>
        Find(key) is not { } value ? []
        : value.ValueKind == JsonValueKind.Object
            ? [.. value.EnumerateObject().Select(item => (item.Name, Number($"{key}[\"{item.Name}\"]", item.Value)))]
        : throw Unsupported(key, value.GetRawText(), "an object of patterns with numbers is expected");

    /// <summary>Refuses every key that was not read and is neither switched off (null, false, empty) nor among the given ones.</summary>
    public void RefuseOthers(IReadOnlyList<string> harmless)
    {
        foreach (var item in root.EnumerateObject())
        {
            if (_read.Contains(item.Name) || harmless.Contains(item.Name) || IsOff(item.Value))
                continue;
            var text = item.Value.GetRawText();
            throw Unsupported(
                item.Name,
                text.Length > 60 ? text[..60] + "..." : text,
                "this kind of adapter is not merged here, and without it the numbers would be others; "
                    + "merge it with PEFT (merge_and_unload) "
                    + "and give the merged folder"
            );
        }
    }

    private static bool IsOff(JsonElement value) =>
        value.ValueKind switch
        {
            JsonValueKind.Null or JsonValueKind.False => true,
            JsonValueKind.Array => value.GetArrayLength() == 0,
            JsonValueKind.Object => !value.EnumerateObject().Any(),
            JsonValueKind.String => value.GetString()!.Length == 0,
            _ => false,
        };

    private JsonElement? Find(string key)
    {
        _read.Add(key);
        return root.TryGetProperty(key, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;
    }

    private int Whole(string key, JsonElement value) =>
        value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var number)
            ? number
            : throw Unsupported(key, value.GetRawText(), "a whole number is expected");

    private double Number(string key, JsonElement value) =>
        value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out var number) && double.IsFinite(number)
            ? number
            : throw Unsupported(key, value.GetRawText(), "a number is expected");

    private string TextOf(string key, JsonElement value) =>
        value.ValueKind == JsonValueKind.String ? value.GetString()! : throw Unsupported(key, value.GetRawText(), "texts are expected");
}
