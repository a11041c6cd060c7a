namespace Falcon.Attacks.Activations;

/// <summary>A vector inside a decoder block that the logit lens reads.</summary>
internal enum LayerComponent
{
    /// <summary>What attention adds to the residual stream.</summary>
    AttentionOutput,

    /// <summary>The residual stream between attention and MLP.</summary>
    AfterAttention,

    /// <summary>What the MLP adds to the residual stream.</summary>
    MlpOutput,

    /// <summary>The residual stream after the block.</summary>
    BlockOutput,
}
