using System.Text;

namespace Falcon.Runtime;

/// <summary>
/// Derives independent seeds. The randomness of a step depends only on seed, purpose and index, so that a resumed run repeats it.
/// </summary>
public static class Seeds
{
    /// <summary>
    /// A seed for one purpose and index: SplitMix64 finalisers over the seed, an FNV-1a hash of the purpose, and the index.
    /// </summary>
    public static ulong Derive(ulong seed, string purpose, long index = 0)
    {
        var hash = 14695981039346656037UL;
        foreach (var value in Encoding.UTF8.GetBytes(purpose)) hash = (hash ^ value) * 1099511628211UL;
        return Mix(Mix(seed ^ hash) + (ulong)index * 0x9E3779B97F4A7C15UL);
    }

    private static ulong Mix(ulong z)
    {
        z += 0x9E3779B97F4A7C15UL;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9UL;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBUL;
        return z ^ (z >> 31);
    }
}
