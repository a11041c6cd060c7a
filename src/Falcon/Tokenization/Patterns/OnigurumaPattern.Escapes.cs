using System.Globalization;

namespace Falcon.Tokenization.Patterns;

/// <summary>What stands after a backslash.</summary>
internal sealed partial class OnigurumaPattern
{
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
}
