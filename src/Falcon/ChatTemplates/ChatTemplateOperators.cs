using System.Numerics;

namespace Falcon.ChatTemplates;

/// <summary>Arithmetic, comparison, attributes, items and slices, with the semantics of Python and Jinja.</summary>
internal static class ChatTemplateOperators
{
    private const int LongestResult = 10_000_000;

    public static object? Binary(string name, object? left, object? right)
    {
        if (name == "~")
            return ChatTemplateValues.Print(left) + ChatTemplateValues.Print(right);
        if (
            ChatTemplateValues.Whole(left) is { } wholeLeft
            && ChatTemplateValues.Whole(right) is { } wholeRight
            && name != "/"
            && !(name == "**" && wholeRight < 0)
        )
            return OfWholes(name, wholeLeft, wholeRight);
        if (ChatTemplateValues.Number(left) is { } numberLeft && ChatTemplateValues.Number(right) is { } numberRight)
            return OfNumbers(name, numberLeft, numberRight);
        return (name, left, right) switch
        {
            ("+", string a, string b) => a + b,
            ("+", TemplateTuple a, TemplateTuple b) => new TemplateTuple(a.Concat(b)),
            ("+", List<object?> a, List<object?> b) when a is not TemplateTuple && b is not TemplateTuple => a.Concat(b).ToList(),
            ("*", string or List<object?>, long or bool) => Repeat(left, ChatTemplateValues.Whole(right)!.Value),
            ("*", long or bool, string or List<object?>) => Repeat(right, ChatTemplateValues.Whole(left)!.Value),
            _ => throw new TemplateOperationException(
                $"'{name}' is not possible with {ChatTemplateValues.Describe(left)} and {ChatTemplateValues.Describe(right)}"
            ),
        };
    }

    public static object Unary(string name, object? operand)
    {
        if (name == "not") return !ChatTemplateValues.IsTrue(operand);
        if (ChatTemplateValues.Whole(operand) is { } whole) return name == "-" ? -whole : whole;
        if (operand is double number) return name == "-" ? -number : number;
        throw new TemplateOperationException($"'{name}' is not possible with {ChatTemplateValues.Describe(operand)}");
    }

    public static bool Compare(string name, object? left, object? right) => name switch
    {
        "==" => ChatTemplateValues.AreEqual(left, right),
        "!=" => !ChatTemplateValues.AreEqual(left, right),
        "in" => ChatTemplateValues.Contains(right, left),
        "not in" => !ChatTemplateValues.Contains(right, left),
        "<" => ChatTemplateValues.Compare(left, right) < 0,
        "<=" => ChatTemplateValues.Compare(left, right) <= 0,
        ">" => ChatTemplateValues.Compare(left, right) > 0,
        _ => ChatTemplateValues.Compare(left, right) >= 0,
    };

    /// <summary><c>value.name</c>: the method, or else the item of that name, or else undefined.</summary>
    public static object? Attribute(object? value, string name)
    {
        if (value is Undefined) throw new TemplateOperationException($"{ChatTemplateValues.Describe(value)} has no '{name}'");
        if (value is TemplateNamespace space)
        {
            if (space.TryGetValue(name, out var held)) return held;
            return value is TemplateLoop ? throw new TemplateOperationException($"'loop.{name}' is not supported") : new Undefined(name);
        }

        if (ChatTemplateMethods.Find(value, name) is { } method) return method;
        return value is TemplateMap map && map.TryGetValue(name, out var item) ? item : new Undefined(name);
    }

    /// <summary><c>value[key]</c>: the item, or else the method of that name, or else undefined.</summary>
    public static object? Item(object? value, object? key)
    {
        if (value is Undefined)
            throw new TemplateOperationException($"{ChatTemplateValues.Describe(value)} has no '{ChatTemplateValues.Print(key)}'");
        if (value is TemplateMap map && key is string name && map.TryGetValue(name, out var item))
            return item;
        if (key is string attribute)
            return Attribute(value, attribute);
        if (value is string or List<object?> && ChatTemplateValues.Whole(key) is { } index)
        {
            var items = ChatTemplateValues.Items(value);
            if (index < 0) index += items.Count;
            if (index >= 0 && index < items.Count) return items[(int)index];
        }
        return new Undefined(ChatTemplateValues.Print(key));
    }

    /// <summary><c>value[start:stop:step]</c> of a text, list or tuple.</summary>
    public static object Slice(object? value, object? start, object? stop, object? step)
    {
        if (value is not (string or List<object?>))
            throw new TemplateOperationException($"{ChatTemplateValues.Describe(value)} cannot be sliced");
        var items = ChatTemplateValues.Items(value);
        var stride = Bound(step, 1);
        if (stride == 0) throw new TemplateOperationException("the step of a slice is zero");
        var (lowest, highest) = stride > 0 ? (0L, items.Count) : (-1L, items.Count - 1L);
        var from = Clamp(start, stride > 0 ? lowest : highest);
        var to = Clamp(stop, stride > 0 ? highest : lowest);
        var taken = new List<object?>();
        for (var i = from; stride > 0 ? i < to : i > to; i += stride) taken.Add(items[(int)i]);
        return value switch { string => string.Concat(taken), TemplateTuple => new TemplateTuple(taken), _ => taken };

        long Clamp(object? bound, long whenAbsent)
        {
            if (bound is null) return whenAbsent;
            var position = Bound(bound, 0);
            return Math.Clamp(position < 0 ? position + items.Count : position, lowest, highest);
        }
    }

    private static long Bound(object? value, long whenAbsent) =>
        value is null ? whenAbsent
        : ChatTemplateValues.Whole(value) is { } whole ? Math.Clamp(whole, -int.MaxValue, int.MaxValue)
        : throw new TemplateOperationException("the bounds of a slice must be whole numbers");

    private static long OfWholes(string name, long left, long right)
    {
        if (right == 0 && name is ("//" or "%")) throw new TemplateOperationException("division by zero");
        try
        {
            checked
            {
                return name switch
                {
                    "+" => left + right,
                    "-" => left - right,
                    "*" => left * right,
                    "//" => (left / right) - (left % right != 0 && (left < 0) != (right < 0) ? 1 : 0),
                    "%" => left % right is var rest && rest != 0 && (rest < 0) != (right < 0) ? rest + right : rest,
                    _ => right < 1000 ? (long)BigInteger.Pow(left, (int)right) : throw new OverflowException(),
                };
            }
        }
        catch (OverflowException)
        {
            throw new TemplateOperationException($"the result of '{name}' is too large");
        }
    }

    private static double OfNumbers(string name, double left, double right)
    {
        if (right == 0 && name is ("/" or "//" or "%")) throw new TemplateOperationException("division by zero");
        return name switch
        {
            "+" => left + right,
            "-" => left - right,
            "*" => left * right,
            "/" => left / right,
            "//" => Math.Floor(left / right),
            "%" => left - (right * Math.Floor(left / right)),
            _ => Math.Pow(left, right),
        };
    }

    private static object Repeat(object? value, long times)
    {
        times = Math.Max(times, 0);
        if (times * Math.Max(ChatTemplateValues.Length(value), 1) is < 0 or > LongestResult || times > LongestResult)
            throw new TemplateOperationException("the result of '*' is too large");
        if (value is string text)
            return string.Concat(Enumerable.Repeat(text, (int)times));
        var items = Enumerable.Repeat((List<object?>)value!, (int)times).SelectMany(list => list);
        return value is TemplateTuple ? new TemplateTuple(items) : items.ToList();
    }
}
