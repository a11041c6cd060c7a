using System.Globalization;
using System.Text;

namespace Falcon.Tokenization.Patterns;

/// <summary>
/// Translates a regular expression from the dialect of the reference tokenizers (Oniguruma with Ruby's syntax) to that of .NET, so that
/// both cut a text alike. What the two read differently is written anew; what has no counterpart is refused by name.
/// </summary>
internal sealed partial class OnigurumaPattern
{
    private const string Word = @"[\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\u00B2\u00B3\u00B9\u00BC-\u00BE\u24B6-\u24E9]";

    // Pairs of letters that one character stands for when case is ignored: ß, ﬀ, ﬁ, ﬂ, ﬆ.
    private static readonly string[] OneCharacterForTwo = ["ss", "ff", "fi", "fl", "st"];

    private readonly string _text;
    private int _at;

    private OnigurumaPattern(string text) => _text = text;

    /// <summary>The pattern for .NET, without options.</summary>
    public string Translated { get; private set; } = "";

    /// <summary>The characters that the pattern names one by one or in ranges.</summary>
    public List<(char First, char Last)> Ranges { get; } = [];

    /// <summary>Whether the pattern asks for the Han script.</summary>
    public bool UsesHan { get; private set; }

    /// <summary>Reads a pattern.</summary>
    /// <exception cref="FormatException">It is not valid, or has a construct without a counterpart; the message names it.</exception>
    public static OnigurumaPattern Read(string text)
    {
        if (text.AsSpan().ContainsAnyInRange('\uD800', '\uDFFF'))
            throw new FormatException("characters above U+FFFF are not supported in it");
        var pattern = new OnigurumaPattern(text);
        pattern.Translated = pattern.Alternatives(new Options(false, false));
        if (pattern._at < text.Length)
            throw new FormatException("a closing parenthesis has no opening one");
        return pattern;
    }

    private readonly record struct Options(bool IgnoreCase, bool DotIsAll);

    private bool Ended => _at == _text.Length;

    // Up to the closing parenthesis of the group or the end of the pattern.
    private string Alternatives(Options options)
    {
        var output = new StringBuilder();
        var start = _at;
        var (before, literal) = ('\0', '\0'); // the letters just before, for pairs that one character stands for
        while (!Ended && _text[_at] != ')')
        {
            if (Skip("|"))
            {
                output.Append('|');
                literal = '\0';
                continue;
            }

            if (Isolated() is { } changed)
            {
                // Elsewhere the two engines disagree on how far the option reaches over alternatives.
                if (_at - changed.Length != start)
                    throw Refused(changed + " inside a group");
                options = With(options, changed[2..^1]);
                continue;
            }

            before = literal;
            literal = '\0';
            var atom = Atom(options, ref literal);
            if (
                options.IgnoreCase
                && before != '\0'
                && literal != '\0'
                && OneCharacterForTwo.Contains($"{char.ToLowerInvariant(before)}{char.ToLowerInvariant(literal)}")
            )
                throw Refused($"\"{before}{literal}\" without regard to case, which one character may stand for");
            output.Append(Quantified(atom));
        }

        return output.ToString();
    }

    // (?i) and the like, without a colon; null where there is none, and the text is not moved.
    private string? Isolated()
    {
        if (!Starts("(?"))
            return null;
        var end = _at + 2;
        while (end < _text.Length && (char.IsAsciiLetter(_text[end]) || _text[end] == '-'))
            end++;
        if (end == _text.Length || _text[end] != ')' || end == _at + 2)
            return null;
        var found = _text[_at..(end + 1)];
        _at = end + 1;
        return found;
    }

    private static Options With(Options options, string letters)
    {
        var on = true;
        foreach (var letter in letters)
        {
            if (letter == '-')
                on = false;
            else if (letter == 'i')
                options = options with { IgnoreCase = on };
            else if (letter == 'm')
                options = options with { DotIsAll = on };
            else
                throw Refused($"the option {letter}");
        }

        return options;
    }

    private string Atom(Options options, ref char literal)
    {
        var character = _text[_at++];
        switch (character)
        {
            case '(':
                return Group(options);
            case '[':
                return Set(options).ToString();
            case '.':
                return options.DotIsAll ? @"[\s\S]" : @"[^\n]";
            case '^':
                return @"(?:\A|(?<=\n)(?!\z))";
            case '$':
                return @"(?=\n|\z)";
            case '\\':
                return Escape(options, ref literal);
            case '*' or '+' or '?':
                throw new FormatException($"there is nothing before {character} to repeat");
            default:
                literal = character;
                return Literal(character, options);
        }
    }

    private string Literal(char character, Options options)
    {
        Ranges.Add((character, character));
        if (!options.IgnoreCase)
            return One(character);
        if (!char.IsAscii(character))
            throw Refused($"'{character}' without regard to case");
        var others = string.Concat(CharacterSet.OtherCases(character).Select(One));
        return others.Length == 0 ? One(character) : $"[{One(character)}{others}]";
    }

    private static string One(char character) => string.Create(CultureInfo.InvariantCulture, $"\\u{(int)character:X4}");

    private string Group(Options options)
    {
        if (Skip("?#"))
        {
            var end = _text.IndexOf(')', _at);
            if (end < 0)
                throw new FormatException("a comment is not closed");
            _at = end + 1;
            return "";
        }

        foreach (var opening in new[] { "?:", "?=", "?!", "?<=", "?<!", "?>" })
            if (Skip(opening))
                return Closed($"({opening}", options);
        foreach (var (opening, closing) in new[] { ("?<", '>'), ("?'", '\'') })
        {
            if (!Skip(opening))
                continue;
            var end = _text.IndexOf(closing, _at);
            if (end < 0)
                throw new FormatException("the name of a group is not closed");
            _at = end + 1;
            return Closed("(?:", options); // nothing refers to it
        }

        if (!Skip("?"))
            return Closed("(?:", options);
        var start = _at;
        while (!Ended && (char.IsAsciiLetter(_text[_at]) || _text[_at] == '-'))
            _at++;
        if (Ended || _text[_at] != ':' || _at == start)
            throw Refused($"the group (?{(start < _text.Length ? _text[start] : ' ')}");
        options = With(options, _text[start.._at++]);
        return Closed("(?:", options);
    }

    private string Closed(string opening, Options options)
    {
        var inner = Alternatives(options);
        return Skip(")") ? opening + inner + ")" : throw new FormatException("a parenthesis is not closed");
    }

    private bool Starts(string text) => _text.AsSpan(_at).StartsWith(text, StringComparison.Ordinal);

    private bool Skip(string text)
    {
        if (!Starts(text))
            return false;
        _at += text.Length;
        return true;
    }

    private static FormatException Refused(string construct) => new($"{construct} is not supported");
}
