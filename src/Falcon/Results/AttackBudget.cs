namespace Falcon.Results;

/// <summary>How much an attacker spends.</summary>
public enum AttackBudget
{
    /// <summary>Few strengths, few steps: all attacks on a small model take minutes on two processor cores.</summary>
    Quick,

    /// <summary>Several strengths for each attack.</summary>
    Standard,

    /// <summary>The sizes that the papers use, as far as the data reach.</summary>
    Thorough,
}
