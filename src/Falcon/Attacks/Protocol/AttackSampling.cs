using Falcon.Runtime;

namespace Falcon.Attacks.Protocol;

/// <summary>Random choice of what an attacker looks at.</summary>
internal static class AttackSampling
{
    /// <summary>At most so many, drawn without replacement from the seed, in the order drawn.</summary>
    public static IReadOnlyList<T> Sample<T>(this IReadOnlyList<T> all, int count, AttackSettings settings, string purpose) =>
        [.. new SeededRandom(settings.Seed, "attack, " + purpose).Permutation(all.Count).Take(count).Select(i => all[i])];
}
