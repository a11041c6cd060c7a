using System.Globalization;
using System.Text;

namespace Falcon.Evaluation.Facts;

/// <summary>Whether a generated text contains one of the accepted answers as whole words.</summary>
internal static class AcceptedAnswer
{
    /// <summary>
    /// Whether an accepted answer occurs in the text with no letter, digit or underscore directly before or after it. Unless
    /// <paramref name="caseSensitive"/>, case and accents do not count.
    /// </summary>
    public static bool IsIn(string text, IReadOnlyList<string> accepted, bool caseSensitive)
    {
        var searched = caseSensitive ? text : Folded(text);
        return accepted.Any(answer => ContainsWords(searched, caseSensitive ? answer : Folded(answer)));
    }

    private static bool ContainsWords(string text, string words)
    {
        for (var at = 0; (at = text.IndexOf(words, at, StringComparison.Ordinal)) >= 0; at++)
            if (!IsWordBefore(text, at) && !IsWordAt(text, at + words.Length)) return true;
        return false;
    }

    private static bool IsWordAt(string text, int at) => at < text.Length && Rune.TryGetRuneAt(text, at, out var rune) && IsWord(rune);

    private static bool IsWordBefore(string text, int at) =>
        Rune.DecodeLastFromUtf16(text.AsSpan(0, at), out var rune, out _) == System.Buffers.OperationStatus.Done && IsWord(rune);

    private static bool IsWord(Rune rune) => Rune.IsLetterOrDigit(rune) || rune.Value == '_';

    /// <summary>Lower case without accents: compatibility decomposition with the combining marks left out.</summary>
    private static string Folded(string text)
    {
        var folded = new StringBuilder(text.Length);
        foreach (var rune in WellFormed(text).Normalize(NormalizationForm.FormKD).EnumerateRunes())
            if (Rune.GetUnicodeCategory(rune) != UnicodeCategory.NonSpacingMark) folded.Append(Rune.ToLowerInvariant(rune).ToString());
        return folded.ToString();
    }

    // The runtime refuses to normalise half a character.
    private static string WellFormed(string text) => string.Concat(text.EnumerateRunes());
}
