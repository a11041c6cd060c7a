using System.Globalization;
using System.Text;

namespace Falcon.Tokenization.Patterns;

/// <summary>
/// A set of characters of a pattern: ranges, properties and nested sets, all together or what several of them have in common, or the rest
/// of all characters. .NET has neither nested sets nor intersections, so a set with such parts is written out character by character.
/// </summary>
internal sealed class CharacterSet
{
    private readonly List<(char First, char Last)> _ranges = [];
    private readonly List<CharacterProperty> _properties = [];
    private readonly List<CharacterSet> _parts = [];

    /// <summary>Whether the set holds the characters that its parts do not hold.</summary>
    public bool Negated { get; set; }

    /// <summary>Sets that a character must be in as well.</summary>
    public List<CharacterSet> Also { get; } = [];

    /// <summary>Whether the set has no part yet.</summary>
    public bool IsEmpty => _ranges.Count == 0 && _properties.Count == 0 && _parts.Count == 0;

    public void Add(char first, char last) => _ranges.Add((first, last));

    public void Add(CharacterProperty property) => _properties.Add(property);

    public void Add(CharacterSet part) => _parts.Add(part);

    /// <summary>The characters that are the same as an ASCII character when case is ignored.</summary>
    public static IEnumerable<char> OtherCases(char character)
    {
        if (!char.IsAsciiLetter(character))
            yield break;
        yield return (char)(character ^ 0x20);
        if (character is 's' or 'S')
            yield return '\u017F';
        if (character is 'k' or 'K')
            yield return '\u212A';
    }

    /// <summary>Whether a character of the basic plane is in the set.</summary>
    public bool Contains(char character)
    {
        var found =
            _ranges.Exists(range => character >= range.First && character <= range.Last)
            || _properties.Exists(property => property.Contains(character))
            || _parts.Exists(part => part.Contains(character));
        return (found && Also.TrueForAll(set => set.Contains(character))) != Negated;
    }

    /// <summary>The set in the notation of .NET, with brackets.</summary>
    public override string ToString()
    {
        var text = new StringBuilder();
        if (_parts.Count == 0 && Also.Count == 0 && _properties.TrueForAll(property => property.IsSimple))
        {
            foreach (var (first, last) in _ranges)
                Append(text, first, last);
            foreach (var property in _properties)
                text.Append(property.Text);
            return $"[{(Negated ? "^" : "")}{text}]";
        }

        for (var first = 0; first <= char.MaxValue; first++)
        {
            if (!Contains((char)first))
                continue;
            var last = first;
            while (last < char.MaxValue && Contains((char)(last + 1)))
                last++;
            Append(text, (char)first, (char)last);
            first = last;
        }

        return text.Length == 0 ? "(?!)" : $"[{text}]";
    }

    private static void Append(StringBuilder text, char first, char last)
    {
        text.Append(CultureInfo.InvariantCulture, $"\\u{(int)first:X4}");
        if (last > first)
            text.Append(CultureInfo.InvariantCulture, $"-\\u{(int)last:X4}");
    }
}
