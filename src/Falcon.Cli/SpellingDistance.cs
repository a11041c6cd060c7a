using Falcon.Runtime;

namespace Falcon.Cli;

/// <summary>Finds the word somebody probably meant.</summary>
internal static class SpellingDistance
{
    private const int LargestGap = 3;

    /// <summary>The candidate with the smallest Levenshtein distance to the word, or null when none is near enough.</summary>
    public static string? Nearest(string word, IEnumerable<string> candidates)
    {
        var best = candidates
            .Select(c => (Name: c, Gap: EditDistance.Between(word, c)))
            .OrderBy(c => c.Gap)
            .ThenBy(c => c.Name, StringComparer.Ordinal)
            .FirstOrDefault();
        return best.Name is not null && best.Gap <= Math.Min(LargestGap, word.Length / 2) ? best.Name : null;
    }
}
