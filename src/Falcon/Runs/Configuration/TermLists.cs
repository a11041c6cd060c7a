using System.Text.Json.Nodes;
using System.Text.Json.Serialization.Metadata;
using Falcon.Methods.Terms;
using Falcon.Runtime;

namespace Falcon.Runs.Configuration;

/// <summary>
/// Lists of terms in run files. A list replaces the preset's; an object keyed by kind changes or adds single terms, and null takes one out.
/// </summary>
internal static class TermLists
{
    /// <summary>The key that names a term's kind.</summary>
    public const string Kind = "kind";

    private const string Section = "objective";

    /// <summary>The kinds that a list of this type holds; null where it is no list of terms.</summary>
    public static IReadOnlyDictionary<string, Type>? Kinds(JsonTypeInfo type) =>
        type is { Kind: JsonTypeInfoKind.Enumerable, ElementType: { } element } && element.IsSubclassOf(typeof(Term))
            ? TermKinds.Of(element)
            : null;

    /// <summary>The type of a kind, or an error that lists the known ones.</summary>
    public static Type TypeOf(string place, string keyPath, string? kind, IReadOnlyDictionary<string, Type> kinds) =>
        kind is not null && kinds.TryGetValue(kind, out var type)
            ? type
            : throw new UserInputException(
                $"{place}: \"{keyPath}\" "
                    + (kind is null ? $"needs a \"{Kind}\"" : $"has no kind \"{kind}\"")
                    + $"; known are {string.Join(", ", kinds.Keys.Order(StringComparer.Ordinal))}. A kind that a program registers "
                    + "is known to that program alone."
            );

    /// <summary>The term of a kind in a list or object of terms, added where it is missing.</summary>
    public static JsonObject Entry(JsonNode terms, string kind)
    {
        if (terms is JsonObject byKind)
        {
            if (byKind[kind] is not JsonObject) byKind[kind] = new JsonObject();
            return byKind[kind]!.AsObject();
        }

        var list = terms.AsArray();
        if (Find(list, kind) is { } found) return found;
        var added = new JsonObject { [Kind] = kind };
        list.Add(added);
        return added;
    }

    /// <summary>Puts an object of terms over a list of them.</summary>
    public static JsonArray Merge(JsonArray below, JsonObject above, Func<JsonObject, JsonObject, JsonObject> merge)
    {
        var list = below.DeepClone().AsArray();
        foreach (var (kind, settings) in above)
        {
            var found = Find(list, kind);
            if (settings is null)
            {
                if (found is not null) list.Remove(found);
                continue;
            }

            var changed = found is null ? new JsonObject { [Kind] = kind } : found.DeepClone().AsObject();
            changed = merge(changed, settings.AsObject());
            if (found is null) list.Add(changed);
            else list[list.IndexOf(found)] = changed;
        }

        return list;
    }

    /// <summary>Turns objects of terms into lists, where no preset lies below them.</summary>
    public static JsonObject AsLists(JsonObject root, Func<JsonObject, JsonObject, JsonObject> merge)
    {
        if (root[Section] is not JsonObject objective || objective.All(item => item.Value is not JsonObject)) return root;
        var changed = root.DeepClone().AsObject();
        foreach (var (name, terms) in objective)
            if (terms is JsonObject byKind) changed[Section]![name] = Merge([], byKind, merge);
        return changed;
    }

    private static JsonObject? Find(JsonArray list, string kind) =>
        list.OfType<JsonObject>()
            .FirstOrDefault(term => term[Kind] is JsonValue name && name.TryGetValue(out string? text) && text == kind);
}
