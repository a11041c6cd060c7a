namespace Falcon.Exchange.Adapters;

/// <summary>A module of the base model that holds parameters.</summary>
/// <param name="Name">Its path in the Hugging Face library's class of today, such as <c>model.layers.0.mlp.down_proj</c>.</param>
/// <param name="Tensor">The same path in the weight files, to which <c>.weight</c> and <c>.bias</c> are added.</param>
/// <param name="Kind">What it is.</param>
/// <param name="HasBias">Whether it has a bias.</param>
internal sealed record BaseModule(string Name, string Tensor, ModuleKind Kind, bool HasBias)
{
    /// <summary>Whether it is the output head.</summary>
    public bool IsHead { get; init; }

    /// <summary>Whether it is the token embedding.</summary>
    public bool IsEmbedding { get; init; }

    /// <summary>Whether it is a matrix of a linear layer.</summary>
    public bool IsMatrix => Kind is ModuleKind.Linear or ModuleKind.Transposed;

    /// <summary>Whether LoRA can adapt it.</summary>
    public bool IsAdaptable => Kind != ModuleKind.Other;

    /// <summary>Whether the stored matrix is [in, out] where LoRA's product B A is [out, in].</summary>
    public bool IsStoredTransposed => Kind is ModuleKind.Transposed or ModuleKind.Embedding;

    /// <summary>The name of its weight in the files.</summary>
    public string Weight => Tensor + ".weight";
}

/// <summary>What a module is.</summary>
internal enum ModuleKind
{
    /// <summary>A matrix, stored as [out, in].</summary>
    Linear,

    /// <summary>A matrix, stored as [in, out] (GPT-2's Conv1D).</summary>
    Transposed,

    /// <summary>An embedding [V, H].</summary>
    Embedding,

    /// <summary>A norm or anything else that LoRA does not adapt.</summary>
    Other,
}
