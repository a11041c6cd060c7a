namespace Falcon.Attacks.Activations;

/// <summary>A vector of a block that may be read by the output head.</summary>
internal enum LayerComponent
{
    /// <summary>What attention adds to the residual stream.</summary>
    AttentionOutput,

    /// <summary>The residual stream between attention and MLP.</summary>
    AfterAttention,

    /// <summary>What the MLP adds.</summary>
    MlpOutput,

    /// <summary>The residual stream after the block.</summary>
    BlockOutput,
}
