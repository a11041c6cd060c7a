namespace Falcon.Cli;

/// <summary>Finds the word somebody probably meant.</summary>
internal static class SpellingDistance
{
    private const int LargestGap = 3;

    /// <summary>The candidate with the smallest Levenshtein distance to the word, or null when none is near enough.</summary>
    public static string? Nearest(string word, IEnumerable<string> candidates)
    {
        var best = candidates
            .Select(c => (Name: c, Gap: Levenshtein(word, c)))
            .OrderBy(c => c.Gap)
            .ThenBy(c => c.Name, StringComparer.Ordinal)
            .FirstOrDefault();
        return best.Name is not null && best.Gap <= Math.Min(LargestGap, word.Length / 2) ? best.Name : null;
    }

    /// <summary>Number of inserted, removed and replaced characters between two words.</summary>
    public static int Levenshtein(string first, string second)
    {
        var previous = Enumerable.Range(0, second.Length + 1).ToArray();
        for (var i = 1; i <= first.Length; i++)
        {
            var current = new int[second.Length + 1];
            current[0] = i;
            for (var j = 1; j <= second.Length; j++)
            {
                var replaced = previous[j - 1] + (first[i - 1] == second[j - 1] ? 0 : 1);
                current[j] = Math.Min(replaced, Math.Min(previous[j], current[j - 1]) + 1);
            }
            previous = current;
        }
        return previous[second.Length];
    }
}
