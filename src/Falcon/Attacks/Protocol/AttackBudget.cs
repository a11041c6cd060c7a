namespace Falcon.Attacks.Protocol;

/// <summary>How much an attacker spends.</summary>
public enum AttackBudget
{
    /// <summary>Every tier of a small model within minutes on two processor cores.</summary>
    Quick,

    /// <summary>Several strengths an attack.</summary>
    Standard,

    /// <summary>The sizes that the papers use, as far as the data reach.</summary>
    Thorough,
}
