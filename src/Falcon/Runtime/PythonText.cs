using System.Globalization;
using System.Text;

namespace Falcon.Runtime;

/// <summary>
/// Text operations with Python's meaning, on which chat templates and published metrics rest: white space, code points instead of UTF-16
/// units, casing, and how values are written.
/// </summary>
internal static class PythonText
{
    /// <summary>White space in Python: that of .NET, and U+001C to U+001F.</summary>
    public static bool IsWhiteSpace(char character) => char.IsWhiteSpace(character) || character is >= '\x1c' and <= '\x1f';

    /// <summary>Whether a text is empty or white space.</summary>
    public static bool IsBlank(ReadOnlySpan<char> text)
    {
        foreach (var character in text)
            if (!IsWhiteSpace(character)) return false;
        return true;
    }

    /// <summary>The length without the white space at the end.</summary>
    public static int TrimmedLength(ReadOnlySpan<char> text)
    {
        var length = text.Length;
        while (length > 0 && IsWhiteSpace(text[length - 1])) length--;
        return length;
    }

    /// <summary>The text without the white space at both ends.</summary>
    public static ReadOnlySpan<char> Strip(ReadOnlySpan<char> text)
    {
        while (text.Length > 0 && IsWhiteSpace(text[0])) text = text[1..];
        return text[..TrimmedLength(text)];
    }

    /// <summary>The text without the given characters (null: white space) at the chosen ends.</summary>
    public static string Strip(string text, string? characters, bool left = true, bool right = true)
    {
        var runes = Runes(text);
        var (start, end) = (0, runes.Length);
        while (left && start < end && Goes(runes[start])) start++;
        while (right && end > start && Goes(runes[end - 1])) end--;
        return string.Concat(runes[start..end]);

        bool Goes(string rune) => characters is null ? rune.Length == 1 && IsWhiteSpace(rune[0]) : Runes(characters).Contains(rune);
    }

    /// <summary>The code points, each as a text of its own.</summary>
    public static string[] Runes(string text)
    {
        var runes = new List<string>(text.Length);
        for (var i = 0; i < text.Length; i += runes[^1].Length)
            runes.Add(char.IsSurrogatePair(text, i) ? text.Substring(i, 2) : text[i].ToString());
        return [.. runes];
    }

    /// <summary>
    /// The parts between separators (null: runs of white space), cut at most so many times; a negative number means no limit.
    /// </summary>
    public static List<object?> Split(string text, string? separator, long most)
    {
        var limit = most < 0 ? int.MaxValue : (int)Math.Min(most, int.MaxValue - 1) + 1;
        if (separator is not null) return [.. text.Split(separator, limit, StringSplitOptions.None)];
        var parts = new List<object?>();
        var i = 0;
        while (true)
        {
            while (i < text.Length && IsWhiteSpace(text[i])) i++;
            if (i == text.Length) return parts;
            if (parts.Count == limit - 1)
            {
                parts.Add(text[i..]);
                return parts;
            }
            var start = i;
            while (i < text.Length && !IsWhiteSpace(text[i])) i++;
            parts.Add(text[start..i]);
        }
    }

    /// <summary>The text with the first occurrences of a part replaced, at most so many; a negative number means all.</summary>
    /// <exception cref="ArgumentException">The part is empty.</exception>
    public static string Replace(string text, string old, string replacement, long most)
    {
        ArgumentException.ThrowIfNullOrEmpty(old);
        if (most < 0) return text.Replace(old, replacement, StringComparison.Ordinal);
        var result = new StringBuilder();
        var from = 0;
        for (
            var at = text.IndexOf(old, StringComparison.Ordinal);
            at >= 0 && most-- > 0;
            at = text.IndexOf(old, from, StringComparison.Ordinal)
        )
        {
            result.Append(text, from, at - from).Append(replacement);
            from = at + old.Length;
        }
        return result.Append(text, from, text.Length - from).ToString();
    }

    /// <summary>The first code point in upper case, the rest in lower case.</summary>
    public static string Capitalize(string text) =>
        text.Length == 0 ? "" : string.Concat(Runes(text)[0].ToUpperInvariant(), text[Runes(text)[0].Length..].ToLowerInvariant());

    /// <summary>The method <c>title</c>: a letter is upper case unless a letter comes before it.</summary>
    public static string Title(string text)
    {
        var afterLetter = false;
        var result = new StringBuilder();
        foreach (var rune in Runes(text))
        {
            result.Append(afterLetter ? rune.ToLowerInvariant() : rune.ToUpperInvariant());
            afterLetter = char.IsLetter(rune, 0);
        }
        return result.ToString();
    }

    /// <summary>A value inside a list or a map, as Python's repr writes it.</summary>
    public static string Quoted(string text)
    {
        var quote = text.Contains('\'', StringComparison.Ordinal) && !text.Contains('"', StringComparison.Ordinal) ? '"' : '\'';
        var result = new StringBuilder().Append(quote);
        foreach (var rune in text.EnumerateRunes())
        {
            if (rune.Value == quote || rune.Value == '\\')
                result.Append('\\').Append((char)rune.Value);
            else if (rune.Value == '\n')
                result.Append("\\n");
            else if (rune.Value == '\r')
                result.Append("\\r");
            else if (rune.Value == '\t')
                result.Append("\\t");
            else if (IsPrintable(rune))
                result.Append(rune.ToString());
            else
                result.Append(
                    CultureInfo.InvariantCulture,
                    $"{(rune.Value < 0x100 ? $"\\x{rune.Value:x2}" : rune.Value < 0x10000 ? $"\\u{rune.Value:x4}" : $"\\U{rune.Value:x8}")}"
                );
        }
        return result.Append(quote).ToString();
    }

    /// <summary>The shortest decimal that reads back as the same number, in Python's layout: 1.0, 1e+16, 1e-05, inf, nan.</summary>
    public static string Number(double value)
    {
        if (!double.IsFinite(value)) return double.IsNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";
        if (value == 0) return double.IsNegative(value) ? "-0.0" : "0.0";
        var exponent = value.ToString("E16", CultureInfo.InvariantCulture);
        var power = int.Parse(exponent[(exponent.IndexOf('E', StringComparison.Ordinal) + 1)..], CultureInfo.InvariantCulture);
        var shortest = value.ToString("R", CultureInfo.InvariantCulture);
        if (power is >= -4 and < 16)
        {
            var plain = decimal.TryParse(shortest, NumberStyles.Float, CultureInfo.InvariantCulture, out var exact)
                ? exact.ToString(CultureInfo.InvariantCulture)
                : shortest;
            return plain.Contains('.', StringComparison.Ordinal) ? plain : plain + ".0";
        }
        if (!shortest.Contains('E', StringComparison.Ordinal)) shortest = value.ToString("E15", CultureInfo.InvariantCulture);
        var mantissa = shortest[..shortest.IndexOf('E', StringComparison.Ordinal)];
        if (mantissa.Contains('.', StringComparison.Ordinal)) mantissa = mantissa.TrimEnd('0').TrimEnd('.');
        return string.Create(CultureInfo.InvariantCulture, $"{mantissa}e{(power < 0 ? '-' : '+')}{Math.Abs(power):00}");
    }

    private static bool IsPrintable(Rune rune) =>
        rune.Value == ' '
        || Rune.GetUnicodeCategory(rune)
            is not (
                UnicodeCategory.Control
                or UnicodeCategory.Format
                or UnicodeCategory.Surrogate
                or UnicodeCategory.PrivateUse
                or UnicodeCategory.OtherNotAssigned
                or UnicodeCategory.LineSeparator
                or UnicodeCategory.ParagraphSeparator
                or UnicodeCategory.SpaceSeparator
            );
}
