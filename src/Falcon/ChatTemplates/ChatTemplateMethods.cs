using Falcon.Runtime;

namespace Falcon.ChatTemplates;

/// <summary>The supported methods of texts, lists and maps.</summary>
internal static class ChatTemplateMethods
{
    // Unsupported methods of Python's dict and list. Reading a key of that name with a dot would silently give something else.
    private static readonly string[] UnsupportedOfMap = ["clear", "copy", "fromkeys", "pop", "popitem", "setdefault", "update"];
    private static readonly string[] UnsupportedOfList =
        ["clear", "copy", "count", "extend", "index", "insert", "pop", "remove", "reverse", "sort"];

    /// <summary>The method of that name, bound to the value; null if the value has none.</summary>
    public static TemplateFunction? Find(object? value, string name)
    {
        Func<TemplateArguments, object?>? method = value switch
        {
            string text => OfText(text, name),
            TemplateMap map => OfMap(map, name),
            TemplateTuple => null,
            List<object?> list => OfList(list, name),
            _ => null,
        };
        if (method is null) return null;
        return arguments =>
        {
            var result = method(arguments);
            arguments.End();
            return result;
        };
    }

    private static Func<TemplateArguments, object?>? OfText(string text, string name) =>
        name switch
        {
            "strip" => arguments => PythonText.Strip(text, arguments.OptionalText("chars")),
            "lstrip" => arguments => PythonText.Strip(text, arguments.OptionalText("chars"), right: false),
            "rstrip" => arguments => PythonText.Strip(text, arguments.OptionalText("chars"), left: false),
            "split" => arguments => PythonText.Split(text, Separator(arguments), arguments.OptionalWhole("maxsplit", -1)),
            "startswith" => arguments => AnyOf(arguments, part => text.StartsWith(part, StringComparison.Ordinal)),
            "endswith" => arguments => AnyOf(arguments, part => text.EndsWith(part, StringComparison.Ordinal)),
            "replace" => arguments => Replace(text, arguments),
            "upper" => _ => text.ToUpperInvariant(),
            "lower" => _ => text.ToLowerInvariant(),
            "title" => _ => PythonText.Title(text),
            "capitalize" => _ => PythonText.Capitalize(text),
            _ => null,
        };

    /// <summary>The method and filter <c>replace</c>.</summary>
    internal static string Replace(string text, TemplateArguments arguments) =>
        arguments.Text("old") is { Length: > 0 } old
            ? PythonText.Replace(text, old, arguments.Text("new"), arguments.OptionalWhole("count", -1))
            : throw new TemplateOperationException("replacing an empty text is not supported");

    private static string? Separator(TemplateArguments arguments) =>
        arguments.OptionalText("sep") is var separator && separator is ""
            ? throw new TemplateOperationException("a text cannot be split at an empty separator")
            : separator;

    private static bool AnyOf(TemplateArguments arguments, Func<string, bool> holds)
    {
        var parts = arguments.Required("prefix");
        if (parts is string single)
            return holds(single);
        if (parts is not TemplateTuple tuple || !tuple.All(part => part is string))
            throw new TemplateOperationException($"startswith and endswith need a text, not {ChatTemplateValues.Describe(parts)}");
        return tuple.Any(part => holds((string)part!));
    }

    private static Func<TemplateArguments, object?>? OfMap(TemplateMap map, string name) =>
        name switch
        {
            "items" => _ => map.Select(item => (object?)new TemplateTuple([item.Key, item.Value])).ToList(),
            "keys" => _ => map.Keys.ToList<object?>(),
            "values" => _ => map.Values.ToList(),
            "get" => arguments =>
                (arguments.Required("key"), arguments.Optional("default", null)) is var (key, whenAbsent)
                && key is string known
                && map.TryGetValue(known, out var value)
                    ? value
                    : whenAbsent,
            _ when UnsupportedOfMap.Contains(name) => throw new TemplateOperationException(
                $"the method '{name}' of a map is not supported"
            ),
            _ => null,
        };

    private static Func<TemplateArguments, object?>? OfList(List<object?> list, string name) => name switch
    {
        "append" => arguments =>
        {
            list.Add(arguments.Required("object"));
            return null;
        }
        ,
        _ when UnsupportedOfList.Contains(name) => throw new TemplateOperationException($"the method '{name}' of a list is not supported"),
        _ => null,
    };
}
