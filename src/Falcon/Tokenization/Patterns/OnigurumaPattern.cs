using System.Globalization;
using System.Text;

namespace Falcon.Tokenization.Patterns;

/// <summary>
/// Translates a regular expression from the dialect of the reference tokenizers (Oniguruma with Ruby's syntax) to that of .NET, so that
/// both cut a text alike. What the two read differently is written anew; what has no counterpart is refused by name.
/// </summary>
internal sealed class OnigurumaPattern
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
    /// <exception cref="FormatException">The pattern is not valid, or has a construct without a counterpart; the message names it.</exception>
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

    private string Escape(Options options, ref char literal)
    {
        if (Ended)
            throw new FormatException("it ends in a backslash");
        if (Property() is { } property)
            return Of(property, options).ToString();
        var character = _text[_at++];
        switch (character)
        {
            case 'A' or 'z':
                return $"\\{character}";
            case 'Z':
                return @"(?=\n?\z)";
            case 'b':
                return $"(?:(?<={Word})(?!{Word})|(?<!{Word})(?={Word}))";
            case 'B':
                return $"(?:(?<={Word})(?={Word})|(?<!{Word})(?!{Word}))";
            case 'R':
                return @"(?>\r\n|[\n-\r\u0085\u2028\u2029])";
            case 'N':
                return @"[^\n]";
            case 'O':
                return @"[\s\S]";
            default:
                _at--;
                literal = Character();
                return Literal(literal, options);
        }
    }

    private static CharacterSet Of(CharacterProperty property, Options options)
    {
        RequireBothCases(property, options);
        var set = new CharacterSet();
        set.Add(property.Negated ? property.Not() : property);
        set.Negated = property.Negated;
        return set;
    }

    // Letters have cases in other categories; spaces, digits, marks of punctuation have none.
    private static void RequireBothCases(CharacterProperty property, Options options)
    {
        if (options.IgnoreCase && property.Text is not (@"\s" or @"\p{Nd}" or @"\p{N}" or @"\p{P}" or @"\p{Z}" or @"\p{Zs}"))
            throw Refused($"{property.Text} without regard to case");
    }

    /// <summary>A class escape after its backslash; null, and the text not moved, where another escape stands.</summary>
    private CharacterProperty? Property()
    {
        var character = _text[_at];
        CharacterProperty? simple = char.ToLowerInvariant(character) switch
        {
            's' => CharacterProperty.Space,
            'd' => CharacterProperty.Digit,
            'w' => CharacterProperty.Word,
            'h' => CharacterProperty.Hexadecimal,
            _ => null,
        };
        if (simple is not null)
        {
            _at++;
            return char.IsAsciiLetterUpper(character) ? simple.Not() : simple;
        }

        if (character is not ('p' or 'P') || _at + 1 >= _text.Length || _text[_at + 1] != '{')
            return null;
        var end = _text.IndexOf('}', _at);
        if (end < 0)
            throw new FormatException("the name of a property is not closed");
        var name = _text[(_at + 2)..end];
        _at = end + 1;
        var negated = name.StartsWith('^');
        var property = CharacterProperty.Named(negated ? name[1..] : name) ?? throw Refused($"the property {name}");
        UsesHan |= ReferenceEquals(property, CharacterProperty.Han);
        return negated != (character == 'P') ? property.Not() : property;
    }

    /// <summary>A character after a backslash.</summary>
    private char Character()
    {
        var character = _text[_at++];
        switch (character)
        {
            case 't':
                return '\t';
            case 'n':
                return '\n';
            case 'r':
                return '\r';
            case 'f':
                return '\f';
            case 'v':
                return '\v';
            case 'a':
                return '\a';
            case 'e':
                return '\u001B';
            case 'u':
                return Hexadecimal(4, 4);
            case 'x' when Skip("{"):
                var code = Hexadecimal(1, 8);
                return Skip("}") ? code : throw new FormatException("a character in \\x{…} is not closed");
            case 'x':
                return Hexadecimal(1, 2);
            case var other when char.IsAsciiLetterOrDigit(other):
                throw Refused($"\\{other}");
            default:
                return character;
        }
    }

    private char Hexadecimal(int least, int most)
    {
        var start = _at;
        while (!Ended && _at - start < most && char.IsAsciiHexDigit(_text[_at]))
            _at++;
        if (_at - start < least)
            throw new FormatException("a hexadecimal number is too short");
        var value = long.Parse(_text.AsSpan(start, _at - start), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
        return value is <= 0xFFFF and not (>= 0xD800 and <= 0xDFFF) ? (char)value : throw Refused("a character above U+FFFF");
    }

    // After the opening bracket; up to and with the closing one.
    private CharacterSet Set(Options options)
    {
        var whole = new CharacterSet { Negated = Skip("^") };
        var part = new CharacterSet();
        List<CharacterSet> parts = [part];
        for (var first = true; ; first = false)
        {
            if (Ended)
                throw new FormatException("a bracket is not closed");
            if (!first && Skip("]"))
                break;
            if (Skip("&&"))
            {
                if (part.IsEmpty)
                    throw Refused("an intersection with nothing before &&");
                parts.Add(part = new CharacterSet());
                continue;
            }

            if (Skip("[:"))
                part.Add(PosixBracket(options));
            else if (Skip("["))
                part.Add(Set(options));
            else if (Starts("\\") && SetProperty() is { } property)
            {
                RequireBothCases(property, options);
                part.Add(property);
                if (Starts("-") && !Starts("-]") && !Starts("-[") && !Starts("-&&"))
                    throw Refused("a hyphen after a class in brackets");
            }
            else
                AddRange(part, options);
        }

        if (parts.Exists(one => one.IsEmpty))
            throw Refused("an intersection with nothing after &&");
        whole.Add(parts[0]);
        whole.Also.AddRange(parts.Skip(1));
        if (whole.Also.Count > 0)
            return whole;
        part.Negated = whole.Negated;
        return part;
    }

    private CharacterProperty? SetProperty()
    {
        _at++;
        if (Ended)
            throw new FormatException("it ends in a backslash");
        var property = Property();
        if (property is null)
            _at--;
        else if (property.Text == CharacterProperty.Word.Text)
            property = property.Negated ? CharacterProperty.WordInSet.Not() : CharacterProperty.WordInSet;
        return property;
    }

    private void AddRange(CharacterSet part, Options options)
    {
        var first = SetCharacter();
        var last = first;
        if (Starts("-") && !Starts("-]") && !Starts("-[") && !Starts("-&&"))
        {
            _at++;
            if (Starts("\\") && _at + 1 < _text.Length && "sdwhpSDWHP".Contains(_text[_at + 1], StringComparison.Ordinal))
                throw new FormatException("a class ends a range in brackets");
            last = SetCharacter();
            if (last < first)
                throw new FormatException($"the range {first}-{last} is empty");
        }

        if (options.IgnoreCase && !char.IsAscii(last))
            throw Refused($"'{last}' without regard to case");
        Ranges.Add((first, last));
        part.Add(first, last);
        if (!options.IgnoreCase)
            return;
        for (var character = first; character <= last; character++)
            foreach (var other in CharacterSet.OtherCases(character))
                part.Add(other, other);
    }

    private char SetCharacter()
    {
        if (Ended)
            throw new FormatException("a bracket is not closed");
        if (!Skip("\\"))
            return _text[_at++];
        if (Ended)
            throw new FormatException("it ends in a backslash");
        return Skip("b") ? '\b' : Character();
    }

    private CharacterProperty PosixBracket(Options options)
    {
        var negated = Skip("^");
        var end = _text.IndexOf(":]", _at, StringComparison.Ordinal);
        var name = end < 0 ? throw Refused("a set that begins with a colon") : _text[_at..end];
        _at = end + 2;
        var property = CharacterProperty.Posix(name) ?? throw Refused($"[:{name}:]");
        RequireBothCases(property, options);
        return negated ? property.Not() : property;
    }

    private string Quantified(string atom)
    {
        while (Quantifier() is { } quantifier)
        {
            if (atom.Length == 0)
                throw new FormatException("there is nothing to repeat");
            var (text, isExact, isInterval) = quantifier;
            // {n}? means "n times or not at all", and {n,m}+ means that the whole may be repeated.
            if (!isExact && Skip("?"))
                atom = $"(?:{atom}){text}?";
            else if (!isInterval && Skip("+"))
                atom = $"(?>(?:{atom}){text})";
            else
                atom = $"(?:{atom}){text}";
            atom = $"(?:{atom})";
        }

        return atom;
    }

    private (string Text, bool IsExact, bool IsInterval)? Quantifier()
    {
        if (Ended)
            return null;
        if (_text[_at] is '*' or '+' or '?')
            return (_text[_at++].ToString(), false, false);
        if (_text[_at] != '{')
            return null;
        var end = _text.IndexOf('}', _at);
        if (end < 0)
            return null;
        var bounds = _text[(_at + 1)..end].Split(',');
        if (bounds.Length > 2 || bounds.All(bound => bound.Length == 0) || !bounds.All(bound => bound.All(char.IsAsciiDigit)))
            return null;
        _at = end + 1;
        var least = Number(bounds[0], 0);
        var most = bounds.Length == 1 ? least : Number(bounds[1], int.MaxValue);
        if (most < least)
            throw Refused($"{{{string.Join(',', bounds)}}}");
        return (
            most == int.MaxValue ? $"{{{least},}}" : string.Create(CultureInfo.InvariantCulture, $"{{{least},{most}}}"),
            bounds.Length == 1,
            true
        );
    }

    private static int Number(string text, int missing) =>
        text.Length == 0 ? missing
        : int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var value) ? value
        : throw Refused(text);

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
