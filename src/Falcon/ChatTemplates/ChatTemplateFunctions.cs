using System.Globalization;
using System.Text;

namespace Falcon.ChatTemplates;

/// <summary>The supported functions: raise_exception, strftime_now, namespace, range, dict.</summary>
internal static class ChatTemplateFunctions
{
    private const int LongestRange = 100_000; // as in Jinja's sandbox

    public static Dictionary<string, object?> All(DateTimeOffset now) =>
        new()
        {
            ["raise_exception"] = (TemplateFunction)(
                arguments => throw new ChatTemplateException(ChatTemplateValues.Print(arguments.Required("message")))
            ),
            ["strftime_now"] = (TemplateFunction)(arguments => Format(now, arguments.Text("format"))),
            ["namespace"] = (TemplateFunction)(arguments => Fill(new TemplateNamespace(), arguments)),
            ["dict"] = (TemplateFunction)(arguments => Fill(new TemplateMap(), arguments)),
            ["range"] = (TemplateFunction)Range,
        };

    private static OrderedDictionary<string, object?> Fill(OrderedDictionary<string, object?> target, TemplateArguments arguments)
    {
        foreach (var given in arguments.RestOfPositional())
        {
            if (given is not TemplateMap map)
                throw new TemplateOperationException($"a map is needed, not {ChatTemplateValues.Describe(given)}");
            foreach (var (key, value) in map)
                target[key] = value;
        }
        foreach (var (key, value) in arguments.RestOfNamed()) target[key] = value;
        return target;
    }

    private static List<object?> Range(TemplateArguments arguments)
    {
        var first = arguments.OptionalWhole("start", 0);
        var bounded = arguments.IsGiven("stop");
        var (start, stop) = bounded ? (first, arguments.OptionalWhole("stop", 0)) : (0, first);
        var step = arguments.OptionalWhole("step", 1);
        arguments.End();
        if (step == 0) throw new TemplateOperationException("the step of range is zero");
        var items = new List<object?>();
        for (var i = start; step > 0 ? i < stop : i > stop; i += step)
        {
            items.Add(i);
            if (items.Count > LongestRange) throw new TemplateOperationException("the range is too long");
        }
        return items;
    }

    /// <summary>strftime of the C library in the C locale, for the codes of dates and times.</summary>
    private static string Format(DateTimeOffset time, string format)
    {
        var output = new StringBuilder();
        for (var i = 0; i < format.Length; i++)
        {
            if (format[i] != '%')
            {
                output.Append(format[i]);
                continue;
            }
            i++;
            var code = i < format.Length ? format[i] : throw new TemplateOperationException("the time format ends with %");
            if (code == '%')
            {
                output.Append('%');
                continue;
            }
            var net = code switch
            {
                'Y' => "yyyy",
                'y' => "yy",
                'm' => "MM",
                'B' => "MMMM",
                'b' => "MMM",
                'd' => "dd",
                'A' => "dddd",
                'a' => "ddd",
                'H' => "HH",
                'I' => "hh",
                'M' => "mm",
                'S' => "ss",
                'p' => "tt",
                'F' => "yyyy-MM-dd",
                'T' => "HH:mm:ss",
                _ => throw new TemplateOperationException($"the time format code %{code} is not supported"),
            };
            output.Append(time.ToString(net, CultureInfo.InvariantCulture));
        }
        return output.ToString();
    }
}
