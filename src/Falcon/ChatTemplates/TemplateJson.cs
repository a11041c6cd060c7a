using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;
using Falcon.Runtime;

namespace Falcon.ChatTemplates;

/// <summary>
/// The filter <c>tojson</c> as transformers defines it: Python's JSON with the separators ", " and ": ", keys in order, characters
/// unescaped.
/// </summary>
internal static class TemplateJson
{
    public static string Write(object? value, long? indent, bool ensureAscii)
    {
        var output = new StringBuilder();
        Write(value, output, indent, ensureAscii, 0);
        return output.ToString();
    }

    private static void Write(object? value, StringBuilder output, long? indent, bool ensureAscii, int depth)
    {
        RuntimeHelpers.EnsureSufficientExecutionStack();
        switch (value)
        {
            case null:
                output.Append("null");
                break;
            case bool flag:
                output.Append(flag ? "true" : "false");
                break;
            case long whole:
                output.Append(whole.ToString(CultureInfo.InvariantCulture));
                break;
            case double number:
                output.Append(
                    double.IsNaN(number) ? "NaN"
                    : double.IsInfinity(number) ? (number > 0 ? "Infinity" : "-Infinity")
                    : PythonText.Number(number)
                );
                break;
            case string text:
                WriteText(text, output, ensureAscii);
                break;
            case List<object?> list:
                WriteItems(list, '[', ']', output, indent, depth, item => Write(item, output, indent, ensureAscii, depth + 1));
                break;
            case TemplateMap map:
                WriteItems(map, '{', '}', output, indent, depth, item =>
                {
                    WriteText(item.Key, output, ensureAscii);
                    output.Append(": ");
                    Write(item.Value, output, indent, ensureAscii, depth + 1);
                });
                break;
            default: throw new TemplateOperationException($"{ChatTemplateValues.Describe(value)} cannot be written as JSON");
        }
    }

    private static void WriteItems<T>(
        ICollection<T> items,
        char open,
        char close,
        StringBuilder output,
        long? indent,
        int depth,
        Action<T> write
    )
    {
        output.Append(open);
        var first = true;
        foreach (var item in items)
        {
            if (!first) output.Append(indent is null ? ", " : ",");
            NewLine(depth + 1);
            write(item);
            first = false;
        }
        if (items.Count > 0) NewLine(depth);
        output.Append(close);

        void NewLine(int level)
        {
            if (indent is not null) output.Append('\n').Append(' ', (int)Math.Clamp(indent.Value, 0, 100) * level);
        }
    }

    private static void WriteText(string text, StringBuilder output, bool ensureAscii)
    {
        output.Append('"');
        foreach (var character in text)
        {
            var plain = "\"\\\n\r\t\f\b".IndexOf(character, StringComparison.Ordinal);
            if (plain >= 0)
                output.Append('\\').Append("\"\\nrtfb"[plain]);
            else if (character < ' ' || (ensureAscii && character > '~'))
                output.Append(CultureInfo.InvariantCulture, $"\\u{(int)character:x4}");
            else
                output.Append(character);
        }
        output.Append('"');
    }
}
