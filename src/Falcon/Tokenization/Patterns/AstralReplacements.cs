using System.Globalization;

namespace Falcon.Tokenization.Patterns;

/// <summary>
/// Stand-ins for the code points above U+FFFF, which .NET sees as two characters of no category: while a pattern is matched, each is
/// replaced by one character of the same category (and of the Han script or not) that the pattern does not name itself.
/// </summary>
internal sealed class AstralReplacements
{
    private const char Lowest = '\u0100';
    private const char CircledA = '\u24B6';
    private const int CategoryCount = 30;

    private readonly char[] _ofCategory = new char[CategoryCount];
    private readonly char[] _ofHan = new char[CategoryCount];

    /// <param name="named">Characters and ranges that the pattern names.</param>
    /// <param name="usesHan">Whether the pattern asks for the Han script.</param>
    public AstralReplacements(IReadOnlyList<(char First, char Last)> named, bool usesHan)
    {
        bool IsFree(char character) => !named.Any(range => character >= range.First && character <= range.Last);
        for (var character = '\uFFFF'; character >= Lowest; character--)
        {
            var category = (int)CharUnicodeInfo.GetUnicodeCategory(character);
            if (_ofCategory[category] == 0 || (IsFree(character) && !CharacterProperty.Han.Contains(character)))
                _ofCategory[category] = character;
            if (usesHan && CharacterProperty.Han.Contains(character) && (_ofHan[category] == 0 || IsFree(character)))
                _ofHan[category] = character;
        }
    }

    /// <summary>The text with stand-ins, and for each of its characters the position in the original.</summary>
    public (string Shadow, int[] Positions) Shadow(string text)
    {
        var shadow = new char[text.Length];
        var positions = new int[text.Length + 1];
        var count = 0;
        for (var position = 0; position < text.Length; count++)
        {
            positions[count] = position;
            if (char.IsSurrogatePair(text, position))
            {
                shadow[count] = Of(char.ConvertToUtf32(text, position));
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

    private char Of(int codePoint)
    {
        // Letters in circles and squares are symbols that count as characters of words.
        if (codePoint is (>= 0x1F130 and <= 0x1F149) or (>= 0x1F150 and <= 0x1F169) or (>= 0x1F170 and <= 0x1F189))
            return CircledA;
        var category = (int)CharUnicodeInfo.GetUnicodeCategory(codePoint);
        return CharacterProperty.IsHan(codePoint) && _ofHan[category] != 0 ? _ofHan[category] : _ofCategory[category];
    }
}
