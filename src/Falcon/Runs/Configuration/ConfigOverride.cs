using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization.Metadata;
using Falcon.Runtime;

namespace Falcon.Runs.Configuration;

/// <summary>Overrides of single values from the command line: <c>--set optimizer.learningRate=1e-4</c>.</summary>
internal static class ConfigOverride
{
    public static void Apply(ConfigTree tree, string set, Type root)
    {
        var place = $"--set {set}";
        var equals = set.IndexOf('=', StringComparison.Ordinal);
        if (equals <= 0)
            throw new UserInputException(
                $"{place}: a key and a value are needed; write KEY=VALUE, for instance optimizer.learningRate=1e-4."
            );
        var keys = set[..equals].Split('.');
        if (keys.Any(key => key.Length == 0 || key.Contains('[')))
            throw new UserInputException(
                $"{place}: \"{set[..equals]}\" is not a key path; separate keys by single dots, and set a list as a whole."
            );

        if (root == typeof(UnlearnConfig)) ObsoleteKeys.Refuse(_ => place, set[..equals], Value(set[(equals + 1)..], typeof(JsonNode)));
        JsonTypeInfo? type = ConfigFile.Options.GetTypeInfo(root);
        var (target, path) = ((JsonNode)tree.Root, "");
        foreach (var key in keys[..^1])
        {
            ConfigCheck.RequireObject(place, path, key, type);
            type = ConfigCheck.MemberType(place, path, key, type!);
            path = ConfigTree.Join(path, key);
            if (target is JsonArray terms) target = TermLists.Entry(terms, key);
            else if (target[key] is JsonObject || (target[key] is JsonArray && TermLists.Kinds(type) is not null)) target = target[key]!;
            else
            {
                target[key] = new JsonObject();
                target = target[key]!;
                tree.ReplacePlace(path, place);
            }
        }

        ConfigCheck.RequireObject(place, path, keys[^1], type);
        var valueType = ConfigCheck.MemberType(place, path, keys[^1], type!);
        Set(target, keys[^1], Value(set[(equals + 1)..], valueType.Type));
        tree.ReplacePlace(ConfigTree.Join(path, keys[^1]), place);
    }

    // In a list of terms the key is a kind: null removes the term, an object sets the settings that it names.
    private static void Set(JsonNode target, string key, JsonNode? value)
    {
        if (target is not JsonArray terms) target[key] = value;
        else if (value is JsonObject settings)
        {
            var entry = TermLists.Entry(terms, key);
            foreach (var (name, setting) in settings) entry[name] = setting?.DeepClone();
        }
        else if (value is null)
            terms.Remove(TermLists.Entry(terms, key));
        else
            throw new UserInputException(
                $"--set ...{key}: a term is an object of settings, {{}} for its defaults, or null to take it out."
            );
    }

    private static JsonNode? Value(string text, Type type)
    {
        JsonNode? value;
        try
        {
            value = JsonNode.Parse(text, documentOptions: new JsonDocumentOptions { AllowDuplicateProperties = false });
        }
        catch (JsonException)
        {
            return JsonValue.Create(text);
        }
        return type != typeof(string) || value is null || value.GetValueKind() == JsonValueKind.String ? value : JsonValue.Create(text);
    }
}
