using System.Globalization;
using System.Text.RegularExpressions;

namespace Falcon.Tokenization;

/// <summary>A stretch of a text, <c>[Start, End)</c>: a match of a pattern, or the text between matches.</summary>
internal readonly record struct Stretch(int Start, int End, bool IsMatch);

/// <summary>
/// A pattern of a tokenizer.json, <c>{"String": …}</c> or <c>{"Regex": …}</c>, with the meaning that it has in Oniguruma, which matches
/// code points where .NET matches UTF-16 units.
/// </summary>
internal sealed class SplitPattern
{
    // One BMP character of each category. While matching it replaces the code points above U+FFFF of that category.
    private static readonly char[] Replacements = ReplacementOfEachCategory();

    private readonly string _literal = "";
    private readonly Regex? _regex;

    private SplitPattern(string literal) => _literal = literal;

    private SplitPattern(Regex regex) => _regex = regex;

    public static SplitPattern Literal(string text) => new(text);

    /// <summary>
    /// A regular expression. In Oniguruma, unlike .NET, 'ſ (U+017F) matches 's when case is ignored; and ^ and $ match at line ends, as
    /// with Multiline.
    /// </summary>
    public static SplitPattern Expression(string pattern) =>
        new(
            new Regex(
                pattern.Replace("(?i:'s", "(?i:'[s\u017F]", StringComparison.Ordinal),
                RegexOptions.Compiled | RegexOptions.CultureInvariant | RegexOptions.Multiline
            )
        );

    public static SplitPattern Read(TokenizerSection section)
    {
        if (!section["String"].IsNull) return Literal(section["String"].Text());
        if (section["Regex"].IsNull) throw section.Unsupported("neither a String nor a Regex pattern");
        var expression = section["Regex"].Text();
        try
        {
            return Expression(expression);
        }
        catch (ArgumentException error)
        {
            throw section.Unsupported($"the regular expression {expression} is not supported ({error.Message})");
        }
    }

    /// <summary>All stretches in order; together they are the whole text.</summary>
    public List<Stretch> Find(string text)
    {
        var stretches = new List<Stretch>();
        if (text.Length == 0) return stretches;
        var end = 0;
        if (_regex is null)
        {
            for (var start = IndexOfLiteral(text, 0); start >= 0; start = IndexOfLiteral(text, end)) Add(start, start + _literal.Length);
        }
        else if (!text.AsSpan().ContainsAnyInRange('\uD800', '\uDFFF'))
        {
            foreach (var match in _regex.EnumerateMatches(text)) Add(match.Index, match.Index + match.Length);
        }
        else
        {
            var (shadow, positions) = Shadow(text);
            foreach (var match in _regex.EnumerateMatches(shadow)) Add(positions[match.Index], positions[match.Index + match.Length]);
        }
        if (end < text.Length) stretches.Add(new(end, text.Length, false));
        return stretches;

        void Add(int start, int stop)
        {
            if (end < start) stretches.Add(new(end, start, false));
            stretches.Add(new(start, stop, true));
            end = stop;
        }
    }

    public string Replace(string text, string content)
    {
        if (_regex is null) return _literal.Length == 0 ? text : text.Replace(_literal, content, StringComparison.Ordinal);
        return string.Concat(Find(text).Select(stretch => stretch.IsMatch ? content : text[stretch.Start..stretch.End]));
    }

    private int IndexOfLiteral(string text, int from) => _literal.Length == 0 ? -1 : text.IndexOf(_literal, from, StringComparison.Ordinal);

    private static (string Shadow, int[] Positions) Shadow(string text)
    {
        var shadow = new char[text.Length];
        var positions = new int[text.Length + 1];
        var count = 0;
        for (var position = 0; position < text.Length; count++)
        {
            positions[count] = position;
            if (char.IsSurrogatePair(text, position))
            {
                shadow[count] = Replacements[(int)CharUnicodeInfo.GetUnicodeCategory(text, position)];
                position += 2;
            }
            else
            {
                shadow[count] = text[position];
                position++;
            }
        }
        positions[count] = text.Length;
        return (new string(shadow, 0, count), positions);
    }

    private static char[] ReplacementOfEachCategory()
    {
        var characters = new char[30];
        for (var character = '\uFFFF'; character >= '\u0100'; character--)
            characters[(int)CharUnicodeInfo.GetUnicodeCategory(character)] = character;
        return characters;
    }
}
