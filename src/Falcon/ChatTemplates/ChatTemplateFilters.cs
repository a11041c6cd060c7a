using System.Globalization;
using System.Text.RegularExpressions;
using Falcon.Runtime;

namespace Falcon.ChatTemplates;

/// <summary>The supported Jinja filters (<c>value | name</c>).</summary>
internal static partial class ChatTemplateFilters
{
    private delegate object? Filter(object? value, TemplateArguments arguments);

    private static readonly Dictionary<string, Filter> Known = new()
    {
        ["trim"] = (value, arguments) => PythonText.Strip(ChatTemplateValues.Print(value), arguments.OptionalText("chars")),
        ["length"] = (value, _) => ChatTemplateValues.Length(value),
        ["count"] = (value, _) => ChatTemplateValues.Length(value),
        ["upper"] = (value, _) => ChatTemplateValues.Print(value).ToUpperInvariant(),
        ["lower"] = (value, _) => ChatTemplateValues.Print(value).ToLowerInvariant(),
        ["capitalize"] = (value, _) => PythonText.Capitalize(ChatTemplateValues.Print(value)),
        ["title"] = (value, _) => string.Concat(WordBeginnings().Split(ChatTemplateValues.Print(value)).Select(PythonText.Capitalize)),
        ["string"] = (value, _) => ChatTemplateValues.Print(value),
        ["safe"] = (value, _) => ChatTemplateValues.Print(value),
        ["list"] = (value, _) => ChatTemplateValues.Items(value).ToList(),
        ["default"] = Default,
        ["d"] = Default,
        ["first"] = (value, _) => ChatTemplateValues.Items(value) is [var first, ..] ? first : new Undefined("first"),
        ["last"] = (value, _) => ChatTemplateValues.Items(value) is [.., var last] ? last : new Undefined("last"),
        ["join"] = Join,
        ["int"] = ToInteger,
        ["float"] = ToFloat,
        ["abs"] = (value, _) =>
            value is double number ? (object)Math.Abs(number)
            : ChatTemplateValues.Whole(value) is { } whole ? Math.Abs(whole)
            : throw new TemplateOperationException("abs needs a number"),
        ["tojson"] = ToJson,
        ["replace"] = (value, arguments) => ChatTemplateMethods.Replace(ChatTemplateValues.Print(value), arguments),
        ["indent"] = Indent,
        ["items"] = Items,
        ["dictsort"] = SortMap,
        ["sort"] = Sort,
        ["reverse"] = (value, _) =>
            value is string text
                ? string.Concat(PythonText.Runes(text).Reverse())
                : Enumerable.Reverse(ChatTemplateValues.Items(value)).ToList(),
        ["unique"] = Unique,
        ["sum"] = Sum,
        ["map"] = Map,
        ["select"] = (value, arguments) => Select(value, arguments, byAttribute: false, wanted: true),
        ["reject"] = (value, arguments) => Select(value, arguments, byAttribute: false, wanted: false),
        ["selectattr"] = (value, arguments) => Select(value, arguments, byAttribute: true, wanted: true),
        ["rejectattr"] = (value, arguments) => Select(value, arguments, byAttribute: true, wanted: false),
    };

    public static bool IsKnown(string name) => Known.ContainsKey(name);

    public static object? Apply(string name, object? value, TemplateArguments arguments)
    {
        if (!Known.TryGetValue(name, out var filter)) throw new TemplateOperationException($"the filter '{name}' is not supported");
        var result = filter(value, arguments);
        arguments.End();
        return result;
    }

    private static object? Default(object? value, TemplateArguments arguments)
    {
        var whenAbsent = arguments.Optional("default_value", "");
        var alsoWhenFalse = arguments.OptionalFlag("boolean");
        return value is Undefined || (alsoWhenFalse && !ChatTemplateValues.IsTrue(value)) ? whenAbsent : value;
    }

    private static string Join(object? value, TemplateArguments arguments)
    {
        var separator = ChatTemplateValues.Print(arguments.Optional("d", ""));
        var attribute = Attribute(arguments.Optional("attribute", null));
        return string.Join(separator, ChatTemplateValues.Items(value).Select(item => ChatTemplateValues.Print(attribute(item))));
    }

    private static object? ToInteger(object? value, TemplateArguments arguments)
    {
        var whenNone = arguments.Optional("default", 0L);
        if (arguments.OptionalWhole("base", 10) != 10)
            throw new TemplateOperationException("int is supported to base 10 only");
        if (value is string text)
            value =
                PythonText.Strip(text, null) is var trimmed
                && long.TryParse(trimmed, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var parsed)
                    ? (object)parsed
                    : ParseFloat(trimmed);
        return value switch
        {
            double number when double.IsFinite(number) && Math.Abs(number) < 9e18 => (long)number,
            _ => ChatTemplateValues.Whole(value) ?? whenNone,
        };
    }

    private static object? ToFloat(object? value, TemplateArguments arguments)
    {
        var whenNone = arguments.Optional("default", 0.0);
        return (value is string text ? ParseFloat(PythonText.Strip(text, null)) : ChatTemplateValues.Number(value)) ?? whenNone;
    }

    private static double? ParseFloat(string text) =>
        double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var number) ? number : null;

    private static string ToJson(object? value, TemplateArguments arguments)
    {
        var ensureAscii = ChatTemplateValues.IsTrue(arguments.Named("ensure_ascii", false));
        var indent = arguments.Named("indent", null);
        if (indent is not null && ChatTemplateValues.Whole(indent) is null)
            throw new TemplateOperationException("tojson needs a whole number as 'indent'");
        return TemplateJson.Write(value, ChatTemplateValues.Whole(indent), ensureAscii);
    }

    private static string Indent(object? value, TemplateArguments arguments)
    {
        var width = arguments.Optional("width", 4L);
        var indent = width as string ?? new string(' ', Spaces(width));
        var (first, blank) = (arguments.OptionalFlag("first"), arguments.OptionalFlag("blank"));
        var lines = ChatTemplateValues.Print(value).ReplaceLineEndings("\n").Split('\n');
        return string.Join('\n', lines.Select((line, index) => (index == 0 ? first : blank || line.Length > 0) ? indent + line : line));
    }

    private static int Spaces(object? width) =>
        ChatTemplateValues.Whole(width) is { } count
            ? (int)Math.Clamp(count, 0, 1000)
            : throw new TemplateOperationException("indent needs a whole number or a text as 'width'");

    private static List<object?> Items(object? value, TemplateArguments arguments) => value switch
    {
        Undefined => [],
        TemplateMap map => (List<object?>)ChatTemplateMethods.Find(map, "items")!(arguments)!,
        _ => throw new TemplateOperationException($"items needs a map, not {ChatTemplateValues.Describe(value)}"),
    };

    private static List<object?> SortMap(object? value, TemplateArguments arguments)
    {
        var caseSensitive = arguments.OptionalFlag("case_sensitive");
        var by = arguments.OptionalText("by") ?? "key";
        var reverse = arguments.OptionalFlag("reverse");
        if (by is not ("key" or "value")) throw new TemplateOperationException("dictsort sorts by 'key' or 'value'");
        return Sorted(Items(value, arguments), item => Folded(((TemplateTuple)item!)[by == "key" ? 0 : 1], caseSensitive), reverse);
    }

    private static List<object?> Sort(object? value, TemplateArguments arguments)
    {
        var reverse = arguments.OptionalFlag("reverse");
        var caseSensitive = arguments.OptionalFlag("case_sensitive");
        var attribute = Attribute(arguments.Optional("attribute", null));
        return Sorted(ChatTemplateValues.Items(value), item => Folded(attribute(item), caseSensitive), reverse);
    }

    private static List<object?> Sorted(List<object?> items, Func<object?, object?> key, bool reverse)
    {
        var order = Comparer<object?>.Create(ChatTemplateValues.Compare);
        return [.. reverse ? items.OrderByDescending(key, order) : items.OrderBy(key, order)];
    }

    private static List<object?> Unique(object? value, TemplateArguments arguments)
    {
        var caseSensitive = arguments.OptionalFlag("case_sensitive");
        var attribute = Attribute(arguments.Optional("attribute", null));
        var seen = new List<object?>();
        return ChatTemplateValues.Items(value).FindAll(item =>
        {
            var key = Folded(attribute(item), caseSensitive);
            if (seen.Exists(other => ChatTemplateValues.AreEqual(other, key))) return false;
            seen.Add(key);
            return true;
        });
    }

    private static object? Sum(object? value, TemplateArguments arguments)
    {
        var attribute = Attribute(arguments.Optional("attribute", null));
        return ChatTemplateValues
            .Items(value)
            .Select(attribute)
            .Aggregate(arguments.Optional("start", 0L), (total, item) => ChatTemplateOperators.Binary("+", total, item));
    }

    private static List<object?> Map(object? value, TemplateArguments arguments)
    {
        var items = ChatTemplateValues.Items(value);
        if (arguments.Named("attribute", null) is { } path)
        {
            var whenAbsent = arguments.Named("default", null);
            var attribute = Attribute(path);
            return items.ConvertAll(item =>
                attribute(item) is var found && found is Undefined && whenAbsent is not null ? whenAbsent : found
            );
        }
        var filter = arguments.Text("filter");
        var (positional, named) = (arguments.RestOfPositional(), arguments.RestOfNamed());
        return items.ConvertAll(item => Apply(filter, item, new(filter, positional, named)));
    }

    private static List<object?> Select(object? value, TemplateArguments arguments, bool byAttribute, bool wanted)
    {
        var attribute = Attribute(byAttribute ? arguments.Required("attribute") : null);
        var test = arguments.OptionalText("test");
        var (positional, named) = (arguments.RestOfPositional(), arguments.RestOfNamed());
        return ChatTemplateValues.Items(value).FindAll(item => wanted == (test is null
            ? ChatTemplateValues.IsTrue(attribute(item))
            : ChatTemplatePredicates.Apply(test, attribute(item), new(test, positional, named))));
    }

    /// <summary>Reads an attribute by its path (<c>"a.b"</c>, or an index); null reads the item itself.</summary>
    private static Func<object?, object?> Attribute(object? path)
    {
        if (path is null)
            return item => item;
        var steps = ChatTemplateValues
            .Print(path)
            .Split('.')
            .Select(step => long.TryParse(step, NumberStyles.None, CultureInfo.InvariantCulture, out var index) ? (object)index : step)
            .ToArray();
        return item => steps.Aggregate(item, ChatTemplateOperators.Item);
    }

    private static object? Folded(object? key, bool caseSensitive) => key is string text && !caseSensitive ? text.ToLowerInvariant() : key;

    [GeneratedRegex(@"([-\s({\[<]+)")]
    private static partial Regex WordBeginnings();
}
