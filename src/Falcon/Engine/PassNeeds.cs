namespace Falcon.Engine;

/// <summary>What the terms of an objective ask of the passes. Memory plan, caches and validation go by it.</summary>
[Flags]
public enum PassNeeds
{
    /// <summary>Nothing: the objective makes no steps.</summary>
    None = 0,

    /// <summary>Hidden states at the target layer of both models; nothing above that layer runs.</summary>
    TargetStates = 1,

    /// <summary>Logits of the whole model in training, with gradient.</summary>
    Outputs = 2,

    /// <summary>Likelihoods of answers: passes of the whole model from the embedding on, with gradient.</summary>
    Likelihoods = 4,

    /// <summary>Layers above the target without gradient.</summary>
    LayersAbove = 8,

    /// <summary>Whole batches: they cannot be split into parts whose gradients are added up.</summary>
    WholeBatches = 16,
}

/// <summary>What <see cref="PassNeeds"/> mean together.</summary>
public static class PassNeedsExtensions
{
    /// <summary>Whether hidden states of one layer enter the losses, so that matrices up to it are trained.</summary>
    public static bool UseTarget(this PassNeeds needs) => needs.HasFlag(PassNeeds.TargetStates);

    /// <summary>Whether every layer of the frozen model is needed.</summary>
    public static bool UseWholeModel(this PassNeeds needs) =>
        !needs.UseTarget() || (needs & (PassNeeds.Outputs | PassNeeds.Likelihoods | PassNeeds.LayersAbove)) != 0;
}
