using System.Text.RegularExpressions;

namespace Falcon.Tokenization.Patterns;

/// <summary>A stretch of a text, <c>[Start, End)</c>: a match of a pattern, or the text between matches.</summary>
internal readonly record struct Stretch(int Start, int End, bool IsMatch);

/// <summary>
/// A pattern of a tokenizer.json, <c>{"String": …}</c> or <c>{"Regex": …}</c>, with the meaning that it has in Oniguruma, which matches
/// code points where .NET matches UTF-16 units.
/// </summary>
internal sealed class SplitPattern
{
    private readonly string _literal = "";
    private readonly Regex? _regex;
    private readonly AstralReplacements? _replacements;

    private SplitPattern(string literal) => _literal = literal;

    private SplitPattern(Regex regex, AstralReplacements replacements) => (_regex, _replacements) = (regex, replacements);

    public static SplitPattern Literal(string text) => new(text);

    /// <summary>A regular expression in the dialect of the reference tokenizers.</summary>
    /// <exception cref="FormatException">It is not valid, or not supported.</exception>
    public static SplitPattern Expression(string pattern)
    {
        var read = OnigurumaPattern.Read(pattern);
        return new(
            new Regex(read.Translated, RegexOptions.Compiled | RegexOptions.CultureInvariant),
            new AstralReplacements(read.Ranges, read.UsesHan)
        );
    }

    public static SplitPattern Read(TokenizerSection section)
    {
        if (!section["String"].IsNull)
            return Literal(section["String"].Text());
        if (section["Regex"].IsNull)
            throw section.Unsupported("neither a String nor a Regex pattern");
        var expression = section["Regex"].Text();
        try
        {
            return Expression(expression);
        }
        catch (Exception error) when (error is FormatException or ArgumentException)
        {
            throw section.Unsupported($"the regular expression {expression} is not supported ({error.Message.TrimEnd('.')})");
        }
    }

    /// <summary>All stretches in order; together they are the whole text.</summary>
    public List<Stretch> Find(string text)
    {
        var stretches = new List<Stretch>();
        if (text.Length == 0)
            return stretches;
        var end = 0;
        if (_regex is null)
        {
            for (var start = IndexOfLiteral(text, 0); start >= 0; start = IndexOfLiteral(text, end))
                Add(start, start + _literal.Length);
        }
        else if (!text.AsSpan().ContainsAnyInRange('\uD800', '\uDFFF'))
        {
            foreach (var match in _regex.EnumerateMatches(text))
                Add(match.Index, match.Index + match.Length);
        }
        else
        {
            var (shadow, positions) = _replacements!.Shadow(text);
            foreach (var match in _regex.EnumerateMatches(shadow))
                Add(positions[match.Index], positions[match.Index + match.Length]);
        }
        if (end < text.Length)
            stretches.Add(new(end, text.Length, false));
        return stretches;

        void Add(int start, int stop)
        {
            if (end < start)
                stretches.Add(new(end, start, false));
            stretches.Add(new(start, stop, true));
            end = stop;
        }
    }

    public string Replace(string text, string content)
    {
        if (_regex is null)
            return _literal.Length == 0 ? text : text.Replace(_literal, content, StringComparison.Ordinal);
        return string.Concat(Find(text).Select(stretch => stretch.IsMatch ? content : text[stretch.Start..stretch.End]));
    }

    private int IndexOfLiteral(string text, int from) => _literal.Length == 0 ? -1 : text.IndexOf(_literal, from, StringComparison.Ordinal);
}
