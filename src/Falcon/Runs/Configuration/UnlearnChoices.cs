namespace Falcon.Runs.Configuration;

/// <summary>How the principal offset vector is made.</summary>
public enum OffsetVectorForm
{
    /// <summary>Exact projection of a random start onto the complement of the leading directions (paper, section 4.2).</summary>
    Orthogonal,

    /// <summary>What the published code computes: amplified, squashed and multiplied six times.</summary>
    Official,

    /// <summary>A random unit vector; an ablation.</summary>
    Random,
}

/// <summary>The update rule.</summary>
public enum OptimizerKind
{
    /// <summary>Sophia with a true estimate of the Hessian diagonal (Gauss-Newton-Bartlett on the contrastive logits).</summary>
    Sophia,

    /// <summary>Sophia as the published code runs it: squared combined gradient, momentum twice.</summary>
    SophiaOfficial,

    /// <summary>AdamW.</summary>
    AdamW,
}

/// <summary>How the learning rate falls after the warm-up.</summary>
public enum LearningRateDecay
{
    /// <summary>It does not.</summary>
    Constant,

    /// <summary>In a straight line to the final rate.</summary>
    Linear,

    /// <summary>Along half a cosine to the final rate.</summary>
    Cosine,
}

/// <summary>How the gradients of the two losses become one.</summary>
public enum GradientCombinationKind
{
    /// <summary>Conflict projection for each parameter, with two pairs of weights (paper, section 4.2).</summary>
    ConflictProjection,

    /// <summary>The plain sum.</summary>
    Sum,
}

/// <summary>Which layer is chosen when none is given.</summary>
public enum LayerChoice
{
    /// <summary>The one with the lowest mutual information of forget and retain activations (paper, section 4.1).</summary>
    LowestInformation,

    /// <summary>The one with the highest; an ablation.</summary>
    HighestInformation,
}

/// <summary>Which tokens of a forget text are pushed away.</summary>
public enum ForgetTokens
{
    /// <summary>All of them, as published.</summary>
    All,

    /// <summary>
    /// Those whose hidden states predict the answer; the words of a question also stand in the retain set. Plain text counts whole.
    /// </summary>
    Answer,

    /// <summary>
    /// All but those that begin a retain text in the same way: their hidden states are the same in both sets, and no update can push the
    /// one and keep the other.
    /// </summary>
    Distinct,
}

/// <summary>What of a retain text is to stay as it is.</summary>
public enum RetainLossKind
{
    /// <summary>The hidden states at the target layer (1 - cos), as published.</summary>
    HiddenStates,

    /// <summary>
    /// The next-token distribution: KL(frozen || updated) for every token. Hidden states of retain texts tell much of what the model knows
    /// besides, which an update that keeps them keeps too; distributions tell hardly anything of it. Every step runs the whole model.
    /// </summary>
    Outputs,

    /// <summary>
    /// The words: the cross-entropy of every next token of the retain texts, as in training. Of what the frozen model knows besides nothing
    /// comes along but what the generated texts say; it takes more steps than distributions do. Every step runs the whole model.
    /// </summary>
    Tokens,
}

/// <summary>Where the forget loss stops pushing a text.</summary>
public enum ForgetBoundKind
{
    /// <summary>Nowhere, as published.</summary>
    None,

    /// <summary>
    /// Where its answer has become as unlikely as one that was never learned; needs the whole model, not only the layers up to the target.
    /// </summary>
    AnswerLoss,
}
