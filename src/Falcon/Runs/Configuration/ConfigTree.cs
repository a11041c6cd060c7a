using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Falcon.Runtime;

namespace Falcon.Runs.Configuration;

/// <summary>The values of a run file with the place each came from.</summary>
/// <param name="source">The file, for messages.</param>
/// <param name="root">The values.</param>
internal sealed class ConfigTree(string source, JsonObject root)
{
    private readonly Dictionary<string, string> _places = [];

    public JsonObject Root { get; } = root;

    /// <summary>Where the value of a key path was written: <c>run.json, line 3</c> or <c>--set a.b=1</c>.</summary>
    public string PlaceOf(string keyPath)
    {
        for (var key = keyPath; ; key = key[..Math.Max(0, key.LastIndexOf('.'))])
        {
            if (_places.TryGetValue(key, out var place)) return place;
            if (key.Length == 0) return source;
        }
    }

    public void SetPlace(string keyPath, string place) => _places[keyPath] = place;

    /// <summary>Forgets the places of everything below a key whose value is replaced.</summary>
    public void ReplacePlace(string keyPath, string place)
    {
        foreach (var below in _places.Keys.Where(key => key.StartsWith(keyPath + ".", StringComparison.Ordinal)).ToList())
            _places.Remove(below);
        _places[keyPath] = place;
    }

    public static ConfigTree Read(string path)
    {
        if (Directory.Exists(path)) throw new UserInputException($"{path}: this is a directory; name the run file in it.");
        if (!File.Exists(path)) throw new UserInputException($"{path}: no such file; check the path.");
        byte[] bytes = File.ReadAllBytes(path);
        if (bytes.AsSpan().StartsWith(Encoding.UTF8.Preamble)) bytes = bytes[Encoding.UTF8.Preamble.Length..];
        var tree = new ConfigTree(path, []);
        var reader = new Utf8JsonReader(
            bytes,
            new JsonReaderOptions { AllowTrailingCommas = true, CommentHandling = JsonCommentHandling.Skip }
        );
        try
        {
            reader.Read();
            if (reader.TokenType != JsonTokenType.StartObject)
                throw new UserInputException($"{path}: a run file is one JSON object; put its keys in {{ }}.");
            tree.ReadObject(ref reader, tree.Root, "", bytes);
            reader.Read();
        }
        catch (JsonException error)
        {
            throw new UserInputException(
                $"{path}, line {(error.LineNumber ?? 0) + 1}: not valid JSON at byte {(error.BytePositionInLine ?? 0) + 1} of the line; "
                    + $"check commas, quotes and brackets there.",
                error
            );
        }
        catch (InvalidOperationException error)   // a key or value with half a character or invalid UTF-8
        {
            throw new UserInputException(
                $"{path}, line {LineAt(bytes, reader.TokenStartIndex)}: invalid text; save the file as UTF-8.",
                error
            );
        }
        return tree;
    }

    private void ReadObject(ref Utf8JsonReader reader, JsonObject target, string keyPath, byte[] bytes)
    {
        while (reader.Read() && reader.TokenType != JsonTokenType.EndObject)
        {
            var name = reader.GetString()!;
            var (key, line) = (Join(keyPath, name), LineAt(bytes, reader.TokenStartIndex));
            if (target.ContainsKey(name))
                throw new UserInputException($"{source}, line {line}: the key \"{key}\" occurs twice; remove one of them.");
            _places[key] = $"{source}, line {line}";
            reader.Read();
            target[name] = ReadValue(ref reader, key, bytes);
        }
    }

    private JsonNode? ReadValue(ref Utf8JsonReader reader, string key, byte[] bytes)
    {
        if (reader.TokenType == JsonTokenType.StartObject)
        {
            var target = new JsonObject();
            ReadObject(ref reader, target, key, bytes);
            return target;
        }
        if (reader.TokenType != JsonTokenType.StartArray)
            return reader.TokenType == JsonTokenType.String ? JsonValue.Create(reader.GetString()) : JsonNode.Parse(ref reader);
        var items = new JsonArray();
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            var item = $"{key}[{items.Count}]";
            _places[item] = $"{source}, line {LineAt(bytes, reader.TokenStartIndex)}";
            items.Add(ReadValue(ref reader, item, bytes));
        }
        return items;
    }

    public static string Join(string keyPath, string name) => keyPath.Length == 0 ? name : $"{keyPath}.{name}";

    private static int LineAt(byte[] bytes, long position) => bytes.AsSpan(0, (int)position).Count((byte)'\n') + 1;
}
