using System.Globalization;

namespace Falcon.Tokenization.Patterns;

/// <summary>Repeats of an atom.</summary>
internal sealed partial class OnigurumaPattern
{
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
}
