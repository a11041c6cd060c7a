using System.Text;

namespace Falcon.Evaluation.Metrics;

/// <summary>Overlap of a generated text with a reference, each value in 0..1.</summary>
/// <param name="Precision">Matches over the tokens (n-grams) of the generated text.</param>
/// <param name="Recall">Matches over the tokens (n-grams) of the reference.</param>
/// <param name="F1">2PR / (P + R), 0 where P + R = 0.</param>
public readonly record struct RougeScore(double Precision, double Recall, double F1)
{
    internal static RougeScore Of(int matches, int referenceCount, int predictionCount)
    {
        var precision = matches / (double)Math.Max(predictionCount, 1);
        var recall = matches / (double)Math.Max(referenceCount, 1);
        return new RougeScore(precision, recall, precision + recall > 0 ? 2 * precision * recall / (precision + recall) : 0);
    }
}

/// <summary>
/// ROUGE-N and ROUGE-L as the rouge_score package computes them (Lin 2004): one reference, one prediction, ASCII letters and digits only.
/// TOFU and OpenUnlearning use the stemmer, MUSE does not.
/// </summary>
public static class Rouge
{
    // Tokens of up to this many letters are not stemmed.
    private const int LongestUnstemmed = 3;

    /// <summary>
    /// Lower-case runs of a-z and 0-9; everything else, accents and apostrophes too, separates. With <paramref name="stem"/>, tokens of
    /// more than 3 letters are stemmed.
    /// </summary>
    public static string[] Tokenize(string text, bool stem)
    {
        var tokens = new List<string>();
        var token = new StringBuilder();
        foreach (var character in text)
        {
            var lower = AsciiLower(character);
            if (lower != '\0') token.Append(lower);
            // The lower case of a dotted capital I is an i and a combining dot, which ends the token.
            if (lower == '\0' || character == 'İ') End();
        }
        End();
        return [.. tokens];

        void End()
        {
            if (token.Length == 0) return;
            var word = token.ToString();
            tokens.Add(stem && word.Length > LongestUnstemmed ? PorterStemmer.Stem(word) : word);
            token.Clear();
        }
    }

    /// <summary>ROUGE-N: n-grams matched at most as often as they occur on the other side.</summary>
    /// <param name="reference">The true text.</param>
    /// <param name="prediction">The generated text.</param>
    /// <param name="n">Length of the n-grams, 1 or more.</param>
    /// <param name="stem">Whether tokens are Porter-stemmed.</param>
    public static RougeScore NGrams(string reference, string prediction, int n, bool stem)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(n, 1);
        var expected = Count(Tokenize(reference, stem), n);
        var found = Count(Tokenize(prediction, stem), n);
        var matches = expected.Sum(pair => Math.Min(pair.Value, found.GetValueOrDefault(pair.Key)));
        return RougeScore.Of(matches, expected.Values.Sum(), found.Values.Sum());
    }

    /// <summary>ROUGE-L: the longest common subsequence of the two token lists; all 0 when either is empty.</summary>
    /// <param name="reference">The true text.</param>
    /// <param name="prediction">The generated text.</param>
    /// <param name="stem">Whether tokens are Porter-stemmed.</param>
    public static RougeScore LongestCommonSubsequence(string reference, string prediction, bool stem)
    {
        var expected = Tokenize(reference, stem);
        var found = Tokenize(prediction, stem);
        return RougeScore.Of(CommonLength(expected, found), expected.Length, found.Length);
    }

    private static char AsciiLower(char character) => character switch
    {
        >= 'a' and <= 'z' or >= '0' and <= '9' => character,
        >= 'A' and <= 'Z' => (char)(character + ('a' - 'A')),
        'İ' => 'i',
        '\u212A' => 'k', // the Kelvin sign
        _ => '\0',
    };

    private static Dictionary<string, int> Count(string[] tokens, int n)
    {
        var counts = new Dictionary<string, int>(StringComparer.Ordinal);
        for (var start = 0; start + n <= tokens.Length; start++)
        {
            var gram = string.Join(' ', tokens.AsSpan(start, n)!);
            counts[gram] = counts.GetValueOrDefault(gram) + 1;
        }
        return counts;
    }

    private static int CommonLength(string[] left, string[] right)
    {
        var above = new int[right.Length + 1];
        var row = new int[right.Length + 1];
        foreach (var token in left)
        {
            for (var j = 0; j < right.Length; j++)
                row[j + 1] = token == right[j] ? above[j] + 1 : Math.Max(above[j + 1], row[j]);
            (above, row) = (row, above);
        }
        return above[^1];
    }
}
