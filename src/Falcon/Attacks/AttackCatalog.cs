namespace Falcon.Attacks;

/// <summary>The attacks, in the order of their tiers.</summary>
internal static class AttackCatalog
{
    /// <summary>Every attack.</summary>
    public static IReadOnlyList<Attack> All { get; } =
    [
    ];
}
