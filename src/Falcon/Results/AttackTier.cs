namespace Falcon.Results;

/// <summary>
/// What an attacker needs, from the least to the most: an attack of a higher tier says less about the model as it is given out.
/// </summary>
public enum AttackTier
{
    /// <summary>Prompts and answers alone.</summary>
    BlackBox,

    /// <summary>Reading the hidden states.</summary>
    Activations,

    /// <summary>Changing weights without training.</summary>
    Weights,

    /// <summary>Gradients with respect to the input.</summary>
    InputOptimization,

    /// <summary>Training the model.</summary>
    Training,
}
