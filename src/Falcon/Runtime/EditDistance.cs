namespace Falcon.Runtime;

/// <summary>How far two words are from each other; for suggestions after a misspelt name.</summary>
public static class EditDistance
{
    /// <summary>
    /// Levenshtein distance: the least number of characters to insert, delete and replace that makes one word of the other. Case counts.
    /// </summary>
    public static int Between(string first, string second)
    {
        var row = Enumerable.Range(0, second.Length + 1).ToArray();
        for (var i = 1; i <= first.Length; i++)
        {
            var diagonal = row[0];
            row[0] = i;
            for (var j = 1; j <= second.Length; j++)
            {
                var replaced = diagonal + (first[i - 1] == second[j - 1] ? 0 : 1);
                diagonal = row[j];
                row[j] = Math.Min(replaced, Math.Min(row[j], row[j - 1]) + 1);
            }
        }

        return row[second.Length];
    }
}
