using System.Globalization;
using System.Text;

namespace Falcon.ChatTemplates;

/// <summary>The escapes of Python's string literals; an unknown one stands for itself, backslash included.</summary>
internal static class PythonEscapes
{
    private const string Letters = "\\'\"abfnrtv";
    private const string Characters = "\\'\"\a\b\f\n\r\t\v";

    /// <summary>Reads one escape and returns the position after it.</summary>
    /// <param name="source">The template.</param>
    /// <param name="backslash">Where the escape begins; at least one character follows.</param>
    /// <param name="line">The line, for messages.</param>
    /// <param name="value">Receives the character.</param>
    public static int Read(string source, int backslash, int line, StringBuilder value)
    {
        var character = source[backslash + 1];
        if (Letters.IndexOf(character, StringComparison.Ordinal) is >= 0 and var index)
        {
            value.Append(Characters[index]);
            return backslash + 2;
        }

        switch (character)
        {
            case '\n': return backslash + 2;
            case 'x': return Hexadecimal(source, backslash, 2, line, value);
            case 'u': return Hexadecimal(source, backslash, 4, line, value);
            case 'U': return Hexadecimal(source, backslash, 8, line, value);
            case 'N': throw ChatTemplate.Unsupported(line, "characters by name (\\N) are not supported");
            case >= '0' and <= '7': return Octal(source, backslash, value);
            default:
                value.Append('\\').Append(character);
                return backslash + 2;
        }
    }

    private static int Octal(string source, int backslash, StringBuilder value)
    {
        var (end, code) = (backslash + 1, 0);
        while (end < source.Length && end < backslash + 4 && source[end] is >= '0' and <= '7') code = code * 8 + source[end++] - '0';
        value.Append((char)code);
        return end;
    }

    private static int Hexadecimal(string source, int backslash, int digits, int line, StringBuilder value)
    {
        var (start, end) = (backslash + 2, backslash + 2 + digits);
        var code = uint.MaxValue;
        var isNumber =
            end <= source.Length
            && uint.TryParse(source.AsSpan(start, digits), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out code);
        if (!isNumber || code > 0x10FFFF) throw ChatTemplate.Unsupported(line, "an escape in a text is not complete");
        value.Append(code is >= 0xD800 and <= 0xDFFF or < 0x10000 ? ((char)code).ToString() : char.ConvertFromUtf32((int)code));
        return end;
    }
}
