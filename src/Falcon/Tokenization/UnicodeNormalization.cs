using System.Collections.Frozen;
using System.Globalization;
using System.Text;

namespace Falcon.Tokenization;

/// <summary>
/// Unicode normal forms as the Hugging Face tokenizers library computes them; its tables are older than the .NET runtime's.
/// </summary>
/// <remarks>
/// Combining marks that are newer than those tables, and non-characters, which the runtime refuses, are copied; the stretches between them
/// are normalized separately.
/// </remarks>
internal static class UnicodeNormalization
{
    private const string YoungMarks =
        "7fd 897-89f 8ca-8d3 9fe c3c d3b-d3c eba 1715 1abf-1add 1ae0-1aeb 1df6-1dfa a82c 10d24-10d27 10d69-10d6d 10eab-10eac "
        + "10efa-10efb 10efd-10eff 10f46-10f50 10f82-10f85 11070 1133b 113b8 113bb 113c2 113c9 113ce-113d0 1145e 11839-1183a "
        + "11930 1193d-1193e 11943 119e0 11a34 11a47 11a99 11d42 11d44-11d45 11d97 11f41-11f42 1611e-16120 16129 1612f 16d67 "
        + "16ff0-16ff1 1e08f 1e130-1e136 1e2ae 1e2ec-1e2ef 1e4ec-1e4ef 1e5ee-1e5ef 1e6e3 1e6e6 1e6ee-1e6ef 1e6f5";

    private static readonly FrozenSet<int> Young = Expand(YoungMarks).ToFrozenSet();

    public static string Normalize(string text, NormalizationForm form)
    {
        if (Ascii.IsValid(text)) return text;
        RequireTables();
        StringBuilder? result = null;
        var start = 0;
        var position = 0;
        foreach (var rune in text.EnumerateRunes())
        {
            if (IsBarrier(rune.Value))
            {
                result ??= new StringBuilder(text.Length);
                result.Append(text[start..position].Normalize(form)).Append(rune.ToString());
                start = position + rune.Utf16SequenceLength;
            }
            position += rune.Utf16SequenceLength;
        }
        if (result is null) return text.Normalize(form);
        return result.Append(text[start..].Normalize(form)).ToString();
    }

    private static bool IsBarrier(int codePoint) =>
        codePoint >= 0x7fd && ((codePoint & 0xfffe) == 0xfffe || codePoint is >= 0xfdd0 and <= 0xfdef || Young.Contains(codePoint));

    private static void RequireTables()
    {
        // Without ICU the runtime leaves compatibility ideographs as they are, and ids would silently differ.
        if ("\uF900".Normalize(NormalizationForm.FormC) != "\u8C48")
            throw new PlatformNotSupportedException(
                "This tokenizer normalizes Unicode, which needs ICU: install libicu, or do not set DOTNET_SYSTEM_GLOBALIZATION_INVARIANT."
            );
    }

    private static IEnumerable<int> Expand(string ranges)
    {
        foreach (var range in ranges.Split(' '))
        {
            var ends = Array.ConvertAll(range.Split('-'), end => int.Parse(end, NumberStyles.HexNumber, CultureInfo.InvariantCulture));
            for (var codePoint = ends[0]; codePoint <= ends[^1]; codePoint++) yield return codePoint;
        }
    }

    /// <summary>The text with U+FFFD in place of every half of a surrogate pair.</summary>
    public static string WellFormed(string text)
    {
        for (var i = 0; i < text.Length; i++)
        {
            if (!char.IsSurrogate(text[i])) continue;
            if (i + 1 < text.Length && char.IsSurrogatePair(text[i], text[i + 1])) i++;
            else return Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text));
        }
        return text;
    }
}
