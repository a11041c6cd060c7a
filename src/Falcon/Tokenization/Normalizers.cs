using System.Text;
using Falcon.Tokenization.Patterns;

namespace Falcon.Tokenization;

/// <summary>The <c>normalizer</c> of a tokenizer.json: what happens to a piece of text before it is split.</summary>
internal static class Normalizers
{
    /// <summary>Reads the normalizer; an unknown type is an error that names it.</summary>
    public static Func<string, string> Read(TokenizerSection section)
    {
        if (section.IsNull) return text => text;
        switch (section["type"].Text())
        {
            case "Sequence":
                var steps = section["normalizers"].Items().Select(Read).ToArray();
                return text => steps.Aggregate(text, (current, step) => step(current));
            case "NFC": return text => UnicodeNormalization.Normalize(text, NormalizationForm.FormC);
            case "NFD": return text => UnicodeNormalization.Normalize(text, NormalizationForm.FormD);
            case "NFKC": return text => UnicodeNormalization.Normalize(text, NormalizationForm.FormKC);
            case "NFKD": return text => UnicodeNormalization.Normalize(text, NormalizationForm.FormKD);
            case "Prepend":
                var prefix = section["prepend"].Text();
                return text => text.Length == 0 ? text : prefix + text;
            case "Replace":
                var pattern = SplitPattern.Read(section["pattern"]);
                var content = section["content"].Text();
                return text => pattern.Replace(text, content);
            case "Lowercase": return Lowercase;
            case "Strip":
                var (left, right) = (section["strip_left"].Flag(true), section["strip_right"].Flag(true));
                return text => left && right ? text.Trim() : left ? text.TrimStart() : right ? text.TrimEnd() : text;
            case var unknown: throw section.Unsupported($"the normalizer type '{unknown}' is not supported");
        }
    }

    /// <summary>Lower case, code point by code point, without the rule for a final sigma.</summary>
    private static string Lowercase(string text)
    {
        var result = new StringBuilder(text.Length);
        foreach (var rune in text.EnumerateRunes())
            result.Append(rune.Value == 0x130 ? "i\u0307" : Rune.ToLowerInvariant(rune).ToString());
        return result.ToString();
    }
}
