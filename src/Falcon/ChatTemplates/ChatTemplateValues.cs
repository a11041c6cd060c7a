using System.Collections;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Falcon.Runtime;

namespace Falcon.ChatTemplates;

/// <summary>A failed operation on values; the interpreter adds the line.</summary>
internal sealed class TemplateOperationException(string message) : Exception(message);

/// <summary>A missing value. It prints nothing and is false; reading an attribute or item of it is an error.</summary>
internal sealed record Undefined(string Name);

internal sealed class TemplateTuple(IEnumerable<object?> items) : List<object?>(items);

internal sealed class TemplateMap : OrderedDictionary<string, object?>;

internal class TemplateNamespace : OrderedDictionary<string, object?>;

/// <summary>The variable <c>loop</c>.</summary>
internal sealed class TemplateLoop : TemplateNamespace;

internal delegate object? TemplateFunction(TemplateArguments arguments);

/// <summary>
/// The values of a template: null, bool, long, double, string, list (<see cref="List{T}"/>, <see cref="TemplateTuple"/>),
/// <see cref="TemplateMap"/>, <see cref="TemplateNamespace"/>, <see cref="TemplateFunction"/> and <see cref="Undefined"/>, with Python's
/// rules for truth, equality, order and printing.
/// </summary>
internal static class ChatTemplateValues
{
    /// <summary>Converts a caller's value to a template value; lists and maps are copied.</summary>
    public static object? FromCaller(object? value) => value switch
    {
        null or bool or long or double or string => value,
        int or short or byte or uint or sbyte or ushort => Convert.ToInt64(value, CultureInfo.InvariantCulture),
        float or decimal => Convert.ToDouble(value, CultureInfo.InvariantCulture),
        JsonElement json => FromJson(json),
        IEnumerable<KeyValuePair<string, object?>> map => Map(map.Select(item => (item.Key, FromCaller(item.Value)))),
        IEnumerable<KeyValuePair<string, string>> map => Map(map.Select(item => (item.Key, (object?)item.Value))),
        IEnumerable list => list.Cast<object?>().Select(FromCaller).ToList(),
        _ => throw new ArgumentException($"A chat template cannot use a value of type {value.GetType()}."),
    };

    public static TemplateMap Map(IEnumerable<(string Key, object? Value)> items)
    {
        var map = new TemplateMap();
        foreach (var (key, value) in items) map[key] = value;
        return map;
    }

    public static bool IsTrue(object? value) => value switch
    {
        null or Undefined => false,
        bool flag => flag,
        long number => number != 0,
        double number => number != 0,
        string text => text.Length > 0,
        List<object?> list => list.Count > 0,
        TemplateMap map => map.Count > 0,
        _ => true,
    };

    /// <summary>The text that a value prints.</summary>
    public static string Print(object? value) => value switch
    {
        string text => text,
        Undefined => "",
        _ => Represent(value),
    };

    /// <summary>The items that a loop or a list filter iterates over.</summary>
    public static List<object?> Items(object? value) => value switch
    {
        List<object?> list => list,
        string text => [.. PythonText.Runes(text)],
        TemplateMap map => [.. map.Keys],
        Undefined => [],
        _ => throw new TemplateOperationException($"{Describe(value)} is not a list"),
    };

    public static long Length(object? value) => value is string text ? PythonText.Runes(text).Length : Items(value).Count;

    public static bool AreEqual(object? left, object? right)
    {
        if (Number(left) is { } a && Number(right) is { } b)
            return left is double || right is double ? a == b : Whole(left) == Whole(right);
        return (left, right) switch
        {
            (null, null) => true,
            (Undefined, Undefined) => true,
            (string x, string y) => x == y,
            (List<object?> x, List<object?> y) => x is TemplateTuple == y is TemplateTuple
                && x.Count == y.Count
                && x.Zip(y).All(pair => AreEqual(pair.First, pair.Second)),
            (TemplateMap x, TemplateMap y) => x.Count == y.Count
                && x.All(item => y.TryGetValue(item.Key, out var other) && AreEqual(item.Value, other)),
            _ => ReferenceEquals(left, right),
        };
    }

    /// <summary>The order of two numbers, two texts or two lists; anything else has none.</summary>
    public static int Compare(object? left, object? right)
    {
        if (Number(left) is { } a && Number(right) is { } b)
            return left is double || right is double ? a.CompareTo(b) : Whole(left)!.Value.CompareTo(Whole(right)!.Value);
        switch (left, right)
        {
            case (string x, string y): return string.CompareOrdinal(x, y);
            case (List<object?> x, List<object?> y) when x is TemplateTuple == y is TemplateTuple:
                foreach (var (first, second) in x.Zip(y))
                    if (!AreEqual(first, second)) return Compare(first, second);
                return x.Count.CompareTo(y.Count);
            default: throw new TemplateOperationException($"{Describe(left)} and {Describe(right)} have no order");
        }
    }

    public static bool Contains(object? container, object? item) =>
        container switch
        {
            string text => item is string part
                ? text.Contains(part, StringComparison.Ordinal)
                : throw new TemplateOperationException($"{Describe(item)} cannot be looked for in a text"),
            TemplateMap map => item is string key && map.ContainsKey(key),
            _ => Items(container).Any(other => AreEqual(other, item)),
        };

    /// <summary>A number (true counts as 1), else null.</summary>
    public static double? Number(object? value) =>
        value switch
        {
            bool flag => flag ? 1 : 0,
            long whole => whole,
            double number => number,
            _ => null,
        };

    /// <summary>A whole number (true counts as 1), else null.</summary>
    public static long? Whole(object? value) => value switch { bool flag => flag ? 1 : 0, long whole => whole, _ => null };

    /// <summary>The kind of a value, for messages.</summary>
    public static string Describe(object? value) => value switch
    {
        null => "none",
        bool => "a truth value",
        long or double => "a number",
        string => "a text",
        TemplateTuple => "a tuple",
        List<object?> => "a list",
        TemplateMap => "a map",
        Undefined undefined => $"the undefined value '{undefined.Name}'",
        TemplateNamespace => "a namespace",
        _ => "a function",
    };

    private static object? FromJson(JsonElement json) =>
        json.ValueKind switch
        {
            JsonValueKind.Null or JsonValueKind.Undefined => null,
            JsonValueKind.True => true,
            JsonValueKind.False => false,
            JsonValueKind.String => json.GetString(),
            JsonValueKind.Number => !json.GetRawText().AsSpan().ContainsAny('.', 'e', 'E') && json.TryGetInt64(out var whole)
                ? (object)whole
                : json.GetDouble(),
            JsonValueKind.Array => json.EnumerateArray().Select(FromJson).ToList(),
            _ => Map(json.EnumerateObject().Select(member => (member.Name, FromJson(member.Value)))),
        };

    private static string Represent(object? value)
    {
        System.Runtime.CompilerServices.RuntimeHelpers.EnsureSufficientExecutionStack();
        switch (value)
        {
            case null: return "None";
            case bool flag: return flag ? "True" : "False";
            case long whole: return whole.ToString(CultureInfo.InvariantCulture);
            case double number: return PythonText.Number(number);
            case string text: return PythonText.Quoted(text);
            case Undefined: return "Undefined";
            case TemplateTuple { Count: 1 } tuple: return $"({Represent(tuple[0])},)";
            case List<object?> list:
                var items = string.Join(", ", list.Select(Represent));
                return list is TemplateTuple ? $"({items})" : $"[{items}]";
            case TemplateMap map:
                return new StringBuilder("{")
                    .AppendJoin(", ", map.Select(item => $"{PythonText.Quoted(item.Key)}: {Represent(item.Value)}"))
                    .Append('}')
                    .ToString();
            default:
                throw new TemplateOperationException($"{Describe(value)} cannot be printed");
        }
    }
}
