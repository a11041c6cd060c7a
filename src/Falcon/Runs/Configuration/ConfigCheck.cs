using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization.Metadata;
using Falcon.Methods.Terms;
using Falcon.Runtime;

namespace Falcon.Runs.Configuration;

/// <summary>Compares the values of a run file with the record they are for, so that every message has place, key and remedy.</summary>
internal static class ConfigCheck
{
    public static void Check(ConfigTree tree, JsonNode? value, JsonTypeInfo type, string keyPath)
    {
        if (TermLists.Kinds(type) is { } kinds && value is JsonArray or JsonObject)
        {
            CheckTerms(tree, value, kinds, keyPath);
            return;
        }

        switch (type.Kind)
        {
            case JsonTypeInfoKind.Object when value is JsonObject fields:
                foreach (var (name, field) in fields)
                {
                    var key = ConfigTree.Join(keyPath, name);
                    if (name == TermLists.Kind && type.Type.IsSubclassOf(typeof(Term))) continue;
                    if (keyPath.Length == 0 && type.Type == typeof(UnlearnConfig)) ObsoleteKeys.Refuse(tree.PlaceOf, key, field);
                    var member = Member(tree.PlaceOf(key), keyPath, name, type);
                    if (member.CustomConverter is not null && IsNumberForList(member, field)) continue;
                    if (field is not null) Check(tree, field, Info(member.PropertyType), key);
                    else if (!AcceptsNull(member)) throw Wrong(tree, key, member.PropertyType, field);
                }
                if (Members(type).FirstOrDefault(member => IsRequired(member) && !fields.ContainsKey(member.Name)) is { } missing)
                    throw new UserInputException(
                        $"{tree.PlaceOf(keyPath)}: the key \"{ConfigTree.Join(keyPath, missing.Name)}\" is missing; give "
                            + $"{Describe(missing.PropertyType)}."
                    );
                return;
            case JsonTypeInfoKind.Enumerable when value is JsonArray items:
                for (var index = 0; index < items.Count; index++)
                    CheckElement(tree, items[index], type.ElementType!, $"{keyPath}[{index}]");
                return;
            case JsonTypeInfoKind.Dictionary when value is JsonObject entries:
                foreach (var (name, entry) in entries) CheckElement(tree, entry, type.ElementType!, ConfigTree.Join(keyPath, name));
                return;
            default:
                if (!IsValid(value, type.Type)) throw Wrong(tree, keyPath, type.Type, value);
                return;
        }
    }

    private static void CheckTerms(ConfigTree tree, JsonNode? value, IReadOnlyDictionary<string, Type> kinds, string keyPath)
    {
        if (value is JsonObject byKind)
        {
            foreach (var (kind, settings) in byKind)
            {
                var key = ConfigTree.Join(keyPath, kind);
                var type = TermLists.TypeOf(tree.PlaceOf(key), keyPath, kind, kinds);
                if (settings is not null) Check(tree, settings, Info(type), key);
            }

            return;
        }

        var items = value!.AsArray();
        for (var index = 0; index < items.Count; index++)
        {
            var key = $"{keyPath}[{index}]";
            if (items[index] is not JsonObject settings) throw Wrong(tree, key, typeof(Term), items[index]);
            var kind = settings[TermLists.Kind] is JsonValue name && name.TryGetValue(out string? text) ? text : null;
            Check(tree, settings, Info(TermLists.TypeOf(tree.PlaceOf(key), key, kind, kinds)), key);
        }
    }

    /// <summary>The type of a key, or an error with the nearest known key.</summary>
    public static JsonTypeInfo MemberType(string place, string keyPath, string name, JsonTypeInfo type)
    {
        if (TermLists.Kinds(type) is { } kinds) return Info(TermLists.TypeOf(place, keyPath, name, kinds));
        return type.Kind == JsonTypeInfoKind.Dictionary ? Info(type.ElementType!) : Info(Member(place, keyPath, name, type).PropertyType);
    }

    public static void RequireObject(string place, string keyPath, string name, JsonTypeInfo? type)
    {
        if (type is not null && TermLists.Kinds(type) is not null) return;
        if (type?.Kind is not (JsonTypeInfoKind.Object or JsonTypeInfoKind.Dictionary))
            throw new UserInputException(
                $"{place}: \"{keyPath}\" holds {Describe(type!.Type)} and has no key \"{name}\"; set \"{keyPath}\" itself."
            );
    }

    private static JsonPropertyInfo Member(string place, string keyPath, string name, JsonTypeInfo type)
    {
        var known = Members(type).ToList();
        if (known.FirstOrDefault(member => member.Name == name) is { } found) return found;
        var nearest = known.MinBy(member => Distance(member.Name, name))?.Name;
        var near = nearest is not null && Distance(nearest, name) <= Math.Max(2, name.Length / 3);
        throw new UserInputException(
            $"{place}: unknown key \"{ConfigTree.Join(keyPath, name)}\"; "
                + (
                    near
                        ? $"did you mean \"{ConfigTree.Join(keyPath, nearest!)}\"?"
                        : $"known here: {string.Join(", ", known.Select(member => member.Name))}."
                )
        );
    }

    private static void CheckElement(ConfigTree tree, JsonNode? value, Type type, string keyPath)
    {
        if (value is not null)
            Check(tree, value, Info(type), keyPath);
        else if (type.IsValueType && Nullable.GetUnderlyingType(type) is null || type == typeof(string))
            throw Wrong(tree, keyPath, type, value);
    }

    /// <summary>A nullable value is checked as the value it holds; null itself never comes here.</summary>
    private static JsonTypeInfo Info(Type type) => ConfigFile.Options.GetTypeInfo(Nullable.GetUnderlyingType(type) ?? type);

    private static IEnumerable<JsonPropertyInfo> Members(JsonTypeInfo type) =>
        type.Properties.Where(member => member.Set is not null || member.AssociatedParameter is not null);

    private static bool AcceptsNull(JsonPropertyInfo member) =>
        member.PropertyType.IsValueType
            ? Nullable.GetUnderlyingType(member.PropertyType) is not null
            : member.AssociatedParameter?.IsNullable ?? member.IsSetNullable;

    private static bool IsRequired(JsonPropertyInfo member) =>
        member.IsRequired || member.AssociatedParameter is { HasDefaultValue: false, IsMemberInitializer: false };

    // A list of numbers may be written as a single number.
    private static bool IsNumberForList(JsonPropertyInfo member, JsonNode? value) =>
        member.PropertyType == typeof(IReadOnlyList<double>) && value is JsonValue && value.GetValueKind() == JsonValueKind.Number;

    private static bool IsValid(JsonNode? value, Type type)
    {
        if (type.IsEnum) return value?.GetValueKind() == JsonValueKind.String && EnumNames(type).Contains(value.GetValue<string>());
        try
        {
            value.Deserialize(type, ConfigFile.Options);
            return true;
        }
        catch (Exception error) when (error is JsonException or NotSupportedException or FormatException or InvalidOperationException)
        {
            return false;
        }
    }

    private static UserInputException Wrong(ConfigTree tree, string keyPath, Type type, JsonNode? value) =>
        new($"{tree.PlaceOf(keyPath)}: \"{keyPath}\" must be {Describe(type)}, found {Show(value)}.");

    private static string Describe(Type type)
    {
        var known = Nullable.GetUnderlyingType(type) ?? type;
        if (known.IsEnum)
            return $"one of {string.Join(", ", EnumNames(known))}";
        if (known == typeof(string))
            return "text";
        if (known == typeof(bool))
            return "true or false";
        if (known == typeof(byte) || known == typeof(uint) || known == typeof(ulong) || known == typeof(ushort))
            return "a whole number from 0";
        if (known == typeof(int) || known == typeof(long) || known == typeof(short) || known == typeof(sbyte))
            return "a whole number";
        if (known == typeof(double) || known == typeof(float) || known == typeof(decimal))
            return "a number";
        return ConfigFile.Options.GetTypeInfo(known).Kind switch
        {
            JsonTypeInfoKind.Enumerable => "a list",
            JsonTypeInfoKind.Object or JsonTypeInfoKind.Dictionary => "an object",
            _ => $"a {known.Name}",
        };
    }

    private static IEnumerable<string> EnumNames(Type type) => Enum.GetNames(type).Select(JsonNamingPolicy.CamelCase.ConvertName);

    private static string Show(JsonNode? value) => value switch
    {
        null => "null",
        JsonObject => "an object",
        JsonArray => "a list",
        _ => value.ToJsonString(ConfigFile.Options),
    };

    private static int Distance(string a, string b) => EditDistance.Between(a.ToLowerInvariant(), b.ToLowerInvariant());
}
