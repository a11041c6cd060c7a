namespace Falcon.Tokenization.Patterns;

/// <summary>What a Split pre-tokenizer does with matching stretches.</summary>
internal enum SplitBehavior
{
    Removed,
    Isolated,
    MergedWithPrevious,
    MergedWithNext,
    Contiguous,
}

/// <summary>Turns the stretches of a text into pieces.</summary>
internal static class SplitBehaviors
{
    public static List<Stretch> Apply(List<Stretch> stretches, SplitBehavior behavior) =>
        behavior switch
        {
            SplitBehavior.Isolated => stretches,
            SplitBehavior.Removed => stretches.FindAll(stretch => !stretch.IsMatch),
            SplitBehavior.Contiguous => Contiguous(stretches),
            SplitBehavior.MergedWithPrevious => MergedWithPrevious(stretches),
            _ => MergedWithNext(stretches),
        };

    private static List<Stretch> Contiguous(List<Stretch> stretches)
    {
        var merged = new List<Stretch>(stretches.Count);
        foreach (var stretch in stretches)
        {
            if (merged.Count > 0 && merged[^1].IsMatch == stretch.IsMatch)
                merged[^1] = merged[^1] with { End = stretch.End };
            else
                merged.Add(stretch);
        }
        return merged;
    }

    // Of several matches in a row, only the first joins the stretch before it.
    private static List<Stretch> MergedWithPrevious(List<Stretch> stretches)
    {
        var merged = new List<Stretch>(stretches.Count);
        var previousMatched = false;
        foreach (var stretch in stretches)
        {
            if (stretch.IsMatch && !previousMatched && merged.Count > 0)
                merged[^1] = merged[^1] with { End = stretch.End };
            else
                merged.Add(stretch);
            previousMatched = stretch.IsMatch;
        }
        return merged;
    }

    // Of several matches in a row, only the last joins the stretch after it.
    private static List<Stretch> MergedWithNext(List<Stretch> stretches)
    {
        var merged = new List<Stretch>(stretches.Count);
        var nextMatched = false;
        for (var i = stretches.Count - 1; i >= 0; i--)
        {
            if (stretches[i].IsMatch && !nextMatched && merged.Count > 0)
                merged[^1] = merged[^1] with { Start = stretches[i].Start };
            else
                merged.Add(stretches[i]);
            nextMatched = stretches[i].IsMatch;
        }
        merged.Reverse();
        return merged;
    }
}
