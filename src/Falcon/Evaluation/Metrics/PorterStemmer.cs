namespace Falcon.Evaluation.Metrics;

/// <summary>
/// Porter's suffix stripper (Porter 1980) in the variant that NLTK calls NLTK_EXTENSIONS, which the rouge_score package uses.
/// In each list of suffixes the first that fits ends the search, even when its condition fails.
/// </summary>
public static class PorterStemmer
{
    private static readonly Dictionary<string, string> Irregular = new(StringComparer.Ordinal)
    {
        ["sky"] = "sky",
        ["skies"] = "sky",
        ["dying"] = "die",
        ["lying"] = "lie",
        ["tying"] = "tie",
        ["news"] = "news",
        ["innings"] = "inning",
        ["inning"] = "inning",
        ["outings"] = "outing",
        ["outing"] = "outing",
        ["cannings"] = "canning",
        ["canning"] = "canning",
        ["howe"] = "howe",
        ["proceed"] = "proceed",
        ["exceed"] = "exceed",
        ["succeed"] = "succeed",
    };

    private static readonly (string Suffix, string Replacement)[] DoubleSuffixes =
    [
        ("ational", "ate"),
        ("tional", "tion"),
        ("enci", "ence"),
        ("anci", "ance"),
        ("izer", "ize"),
        ("bli", "ble"),
        ("alli", "al"),
        ("entli", "ent"),
        ("eli", "e"),
        ("ousli", "ous"),
        ("ization", "ize"),
        ("ation", "ate"),
        ("ator", "ate"),
        ("alism", "al"),
        ("iveness", "ive"),
        ("fulness", "ful"),
        ("ousness", "ous"),
        ("aliti", "al"),
        ("iviti", "ive"),
        ("biliti", "ble"),
        ("fulli", "ful"),
    ];

    private static readonly (string Suffix, string Replacement)[] LongSuffixes =
        [("icate", "ic"), ("ative", ""), ("alize", "al"), ("iciti", "ic"), ("ical", "ic"), ("ful", ""), ("ness", "")];

    private static readonly string[] Endings =
    [
        "al",
        "ance",
        "ence",
        "er",
        "ic",
        "able",
        "ible",
        "ant",
        "ement",
        "ment",
        "ent",
        "ion",
        "ou",
        "ism",
        "ate",
        "iti",
        "ous",
        "ive",
        "ize",
    ];

    /// <summary>
    /// The stem of a word in lower case, such as <c>relational</c> → <c>relat</c>; words of 1 or 2 letters stay as they are.
    /// </summary>
    public static string Stem(string word)
    {
        if (Irregular.TryGetValue(word, out var stem)) return stem;
        if (word.Length <= 2) return word;
        return DropFinalDoubleL(DropFinalE(DropEnding(ReplaceLong(ReplaceDouble(FinalY(PastAndGerund(Plural(word))))))));
    }

    // Step 1a
    private static string Plural(string word)
    {
        if (Ends(word, "ies")) return word[..^3] + (word.Length == 4 ? "ie" : "i");
        if (Ends(word, "sses")) return word[..^2];
        return Ends(word, "s") && !Ends(word, "ss") ? word[..^1] : word;
    }

    // Step 1b
    private static string PastAndGerund(string word)
    {
        if (Ends(word, "ied")) return word[..^3] + (word.Length == 4 ? "ie" : "i");
        if (Ends(word, "eed")) return Measure(word.AsSpan(0, word.Length - 3)) > 0 ? word[..^1] : word;
        string stem;
        if (Ends(word, "ed") && HasVowel(word.AsSpan(0, word.Length - 2))) stem = word[..^2];
        else if (Ends(word, "ing") && HasVowel(word.AsSpan(0, word.Length - 3))) stem = word[..^3];
        else return word;

        if (Ends(stem, "at") || Ends(stem, "bl") || Ends(stem, "iz")) return stem + "e";
        if (EndsInDoubleConsonant(stem)) return stem[^1] is 'l' or 's' or 'z' ? stem : stem[..^1];
        return Measure(stem) == 1 && EndsShort(stem) ? stem + "e" : stem;
    }

    // Step 1c
    private static string FinalY(string word) =>
        Ends(word, "y") && word.Length > 2 && IsConsonant(word, word.Length - 2) ? word[..^1] + "i" : word;

    // Step 2
    private static string ReplaceDouble(string word)
    {
        if (Ends(word, "alli") && Measure(word.AsSpan(0, word.Length - 4)) > 0) return ReplaceDouble(word[..^2]);
        foreach (var (suffix, replacement) in DoubleSuffixes)
            if (Ends(word, suffix)) return ReplaceIfMeasured(word, suffix, replacement);
        return Ends(word, "logi") && Measure(word.AsSpan(0, word.Length - 3)) > 0 ? word[..^1] : word;
    }

    // Step 3
    private static string ReplaceLong(string word)
    {
        foreach (var (suffix, replacement) in LongSuffixes)
            if (Ends(word, suffix)) return ReplaceIfMeasured(word, suffix, replacement);
        return word;
    }

    // Step 4
    private static string DropEnding(string word)
    {
        foreach (var suffix in Endings)
        {
            if (!Ends(word, suffix)) continue;
            var stem = word[..^suffix.Length];
            var holds = Measure(stem) > 1 && (suffix != "ion" || stem[^1] is 's' or 't');
            return holds ? stem : word;
        }
        return word;
    }

    // Step 5a
    private static string DropFinalE(string word)
    {
        if (!Ends(word, "e")) return word;
        var stem = word[..^1];
        var measure = Measure(stem);
        return measure > 1 || (measure == 1 && !EndsShort(stem)) ? stem : word;
    }

    // Step 5b
    private static string DropFinalDoubleL(string word) =>
        Ends(word, "ll") && Measure(word.AsSpan(0, word.Length - 1)) > 1 ? word[..^1] : word;

    private static string ReplaceIfMeasured(string word, string suffix, string replacement) =>
        Measure(word.AsSpan(0, word.Length - suffix.Length)) > 0 ? word[..^suffix.Length] + replacement : word;

    private static bool Ends(string word, string suffix) => word.EndsWith(suffix, StringComparison.Ordinal);

    private static bool IsConsonant(string word, int index) => word[index] switch
    {
        'a' or 'e' or 'i' or 'o' or 'u' => false,
        'y' => index == 0 || !IsConsonant(word, index - 1),
        _ => true,
    };

    /// <summary>Porter's m: how often a vowel is followed by a consonant.</summary>
    private static int Measure(ReadOnlySpan<char> stem)
    {
        var measure = 0;
        var afterVowel = false;
        for (var i = 0; i < stem.Length; i++)
        {
            var consonant = IsConsonantAfter(stem[i], i > 0, afterVowel);
            if (consonant && afterVowel) measure++;
            afterVowel = !consonant;
        }
        return measure;
    }

    private static bool HasVowel(ReadOnlySpan<char> stem)
    {
        var afterVowel = false;
        for (var i = 0; i < stem.Length; i++)
        {
            afterVowel = !IsConsonantAfter(stem[i], i > 0, afterVowel);
            if (afterVowel) return true;
        }
        return false;
    }

    // A y counts as a vowel exactly after a consonant; going forward needs no recursion.
    private static bool IsConsonantAfter(char letter, bool hasPrevious, bool previousIsVowel) =>
        letter == 'y' ? !hasPrevious || previousIsVowel : letter is not ('a' or 'e' or 'i' or 'o' or 'u');

    private static bool EndsInDoubleConsonant(string word) =>
        word.Length >= 2 && word[^1] == word[^2] && IsConsonant(word, word.Length - 1);

    /// <summary>Consonant, vowel, consonant other than w, x, y; or a word of a vowel and a consonant.</summary>
    private static bool EndsShort(string word)
    {
        var last = word.Length - 1;
        if (word.Length == 2)
            return !IsConsonant(word, 0) && IsConsonant(word, 1);
        return word.Length >= 3
            && IsConsonant(word, last - 2)
            && !IsConsonant(word, last - 1)
            && IsConsonant(word, last)
            && word[last] is not ('w' or 'x' or 'y');
    }
}
