using System.Globalization;

namespace Falcon.Tokenization.Patterns;

/// <summary>A property of characters as Oniguruma 6.9 defines it for Unicode.</summary>
/// <param name="Text">The property in the notation of .NET, inside brackets.</param>
/// <param name="Test">Whether a character of the basic plane has it.</param>
/// <param name="Negated">Whether the characters without it are meant.</param>
internal sealed record CharacterProperty(string Text, Func<char, bool> Test, bool Negated = false)
{
    private static readonly string[] Categories =
    [
        "Lu",
        "Ll",
        "Lt",
        "Lm",
        "Lo",
        "Mn",
        "Mc",
        "Me",
        "Nd",
        "Nl",
        "No",
        "Zs",
        "Zl",
        "Zp",
        "Cc",
        "Cf",
        "Cs",
        "Co",
        "Pc",
        "Pd",
        "Ps",
        "Pe",
        "Pi",
        "Pf",
        "Po",
        "Sm",
        "Sc",
        "Sk",
        "So",
        "Cn",
    ];

    private static readonly Dictionary<string, string> LongNames = new()
    {
        ["letter"] = "L",
        ["mark"] = "M",
        ["number"] = "N",
        ["punctuation"] = "P",
        ["symbol"] = "S",
        ["separator"] = "Z",
        ["uppercaseletter"] = "Lu",
        ["lowercaseletter"] = "Ll",
        ["titlecaseletter"] = "Lt",
        ["modifierletter"] = "Lm",
        ["otherletter"] = "Lo",
        ["nonspacingmark"] = "Mn",
        ["spacingmark"] = "Mc",
        ["enclosingmark"] = "Me",
        ["decimalnumber"] = "Nd",
        ["letternumber"] = "Nl",
        ["othernumber"] = "No",
        ["spaceseparator"] = "Zs",
        ["control"] = "Cc",
        ["format"] = "Cf",
    };

    private const string WordRest = "\u00B2\u00B3\u00B9\u00BC\u00BD\u00BE";

    /// <summary>Whether <see cref="Text"/> says it all.</summary>
    public bool IsSimple => !Negated;

    public bool Contains(char character) => Test(character) != Negated;

    public CharacterProperty Not() => this with { Negated = !Negated };

    /// <summary>White space; .NET and Oniguruma agree.</summary>
    public static CharacterProperty Space { get; } = new(@"\s", char.IsWhiteSpace);

    /// <summary>Decimal digits of all scripts.</summary>
    public static CharacterProperty Digit { get; } = new(@"\p{Nd}", character => Is(character, "Nd"));

    /// <summary>Hexadecimal digits, of ASCII alone.</summary>
    public static CharacterProperty Hexadecimal { get; } = new("0-9A-Fa-f", char.IsAsciiHexDigit);

    /// <summary>Characters of words inside brackets: letters, marks, digits, letter numbers, connectors, letters in circles.</summary>
    public static CharacterProperty WordInSet { get; } =
        new(@"\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\u24B6-\u24E9", character =>
            Is(character, "L")
            || Is(character, "M")
            || Is(character, "Nd")
            || Is(character, "Nl")
            || Is(character, "Pc")
            || character is >= '\u24B6' and <= '\u24E9'
        );

    /// <summary>Characters of words outside brackets, where the superscripts and fractions of Latin-1 count too.</summary>
    public static CharacterProperty Word { get; } =
        new(WordInSet.Text + @"\u00B2\u00B3\u00B9\u00BC-\u00BE", character =>
            WordInSet.Contains(character) || WordRest.Contains(character, StringComparison.Ordinal)
        );

    /// <summary>The Han script within the basic plane. Beyond it, <see cref="IsHan(int)"/> tells.</summary>
    public static CharacterProperty Han { get; } =
        new(
            @"\u2E80-\u2E99\u2E9B-\u2EF3\u2F00-\u2FD5\u3005\u3007\u3021-\u3029\u3038-\u303B\u3400-\u4DBF\u4E00-\u9FFF\uF900-\uFA6D"
                + @"\uFA70-\uFAD9",
            character =>
                character
                    is (>= '\u2E80' and <= '\u2EF3' and not '\u2E9A')
                        or (>= '\u2F00' and <= '\u2FD5')
                        or '\u3005'
                        or '\u3007'
                        or (>= '\u3021' and <= '\u3029')
                        or (>= '\u3038' and <= '\u303B')
                        or (>= '\u3400' and <= '\u4DBF')
                        or (>= '\u4E00' and <= '\u9FFF')
                        or (>= '\uF900' and <= '\uFA6D')
                        or (>= '\uFA70' and <= '\uFAD9')
        );

    /// <summary>Whether a code point above U+FFFF belongs to the Han script.</summary>
    public static bool IsHan(int codePoint) =>
        codePoint
            is (>= 0x16FE2 and <= 0x16FE3)
                or (>= 0x16FF0 and <= 0x16FF1)
                or (>= 0x20000 and <= 0x2A6DF)
                or (>= 0x2A700 and <= 0x2EE5D)
                or (>= 0x2F800 and <= 0x2FA1D)
                or (>= 0x30000 and <= 0x323AF);

    /// <summary>The property of a name in <c>\p{…}</c>; null for one that is not supported.</summary>
    public static CharacterProperty? Named(string name)
    {
        var plain = name.Replace(" ", "", StringComparison.Ordinal)
            .Replace("_", "", StringComparison.Ordinal)
            .Replace("-", "", StringComparison.Ordinal)
            .ToLowerInvariant();
        if (plain is "c" or "other")
            return null; // its unassigned part differs between versions of Unicode
        var category = LongNames.GetValueOrDefault(plain)
            ?? Categories.FirstOrDefault(one => one.Equals(plain, StringComparison.OrdinalIgnoreCase) && one != "Cn")
            ?? (plain is "l" or "m" or "n" or "p" or "s" or "z" ? plain.ToUpperInvariant() : null);
        if (category is not null)
            return new($@"\p{{{category}}}", character => Is(character, category));
        if (plain == "punct")
            return Named("P"); // inside [: :] it has the symbols as well
        return plain == "han" ? Han : Posix(plain);
    }

    /// <summary>The property of a name in <c>[:…:]</c>; null for one that is not supported.</summary>
    public static CharacterProperty? Posix(string name) =>
        name switch
        {
            "space" => Space,
            "digit" => Digit,
            "xdigit" => Hexadecimal,
            "blank" => new(@"\t\p{Zs}", character => character == '\t' || Is(character, "Zs")),
            "cntrl" => new(@"\p{Cc}", character => Is(character, "Cc")),
            "punct" => new(@"\p{P}\p{S}", character => Is(character, "P") || Is(character, "S")),
            "ascii" => new(@"\u0000-\u007F", char.IsAscii),
            "any" => new(@"\u0000-\uFFFF", _ => true),
            _ => null,
        };

    private static bool Is(char character, string category)
    {
        var found = Categories[(int)CharUnicodeInfo.GetUnicodeCategory(character)];
        return category.Length == 1 ? found[0] == category[0] : found == category;
    }
}
