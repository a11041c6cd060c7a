using Falcon.Runtime;

namespace Falcon.Methods.Falcon;

/// <summary>
/// Retain texts with some tokens replaced. A retain set holds few names, and an update that forgets the names of the forget set easily
/// takes any rare word for one of them; what the frozen model makes of random words in the place of the retain texts' own is known without
/// any further text, and is kept with them. Extension, not in the paper.
/// </summary>
internal static class RetainVariants
{
    /// <summary>
    /// The texts, then so many copies of all of them in which each token is, with the given probability, one drawn from all tokens of the
    /// texts.
    /// </summary>
    /// <param name="texts">Retain texts, token ids.</param>
    /// <param name="copies">Copies of each.</param>
    /// <param name="share">Probability that a token is drawn anew.</param>
    /// <param name="seed">Decides every copy.</param>
    public static IReadOnlyList<int[]> Add(IReadOnlyList<int[]> texts, int copies, double share, ulong seed)
    {
        if (copies == 0) return texts;
        int[] pool = [.. texts.SelectMany(text => text)];
        return [.. texts, .. Enumerable.Range(0, copies).SelectMany(copy => texts.Select((text, i) =>
        {
            var random = new SeededRandom(seed, $"retain variant {copy}", i);
            return text.Select(token => random.NextDouble() < share ? pool[random.Next(pool.Length)] : token).ToArray();
        }))];
    }
}
