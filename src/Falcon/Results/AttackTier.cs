namespace Falcon.Results;

/// <summary>
/// What an attacker needs, from the least to the most. The more an attack needs, the less it says about the model as it is given out.
/// </summary>
public enum AttackTier
{
    /// <summary>Prompts and answers only.</summary>
    BlackBox,

    /// <summary>Reading or changing hidden states.</summary>
    Activations,

    /// <summary>Changing weights without training.</summary>
    Weights,

    /// <summary>Gradients with respect to the input.</summary>
    InputOptimization,

    /// <summary>Training the model.</summary>
    Training,
}
