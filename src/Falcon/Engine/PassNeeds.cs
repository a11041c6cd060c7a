namespace Falcon.Engine;

/// <summary>What the terms of an objective need from the passes. The memory plan, the caches and validation depend on it.</summary>
[Flags]
public enum PassNeeds
{
    /// <summary>Nothing: the objective makes no steps.</summary>
    None = 0,

    /// <summary>Hidden states at the target layer of both models; nothing above that layer runs.</summary>
    TargetStates = 1,

    /// <summary>Next-token logits of both models at every real token (<c>StepPass.Outputs</c>), from the target layer on.</summary>
    Outputs = 2,

    /// <summary>
    /// Likelihoods of answers (<c>StepPass.AnswerLogits</c>, <c>AnswerNll</c>): passes of the whole model from the embedding on, with
    /// gradient.
    /// </summary>
    Likelihoods = 4,

    /// <summary>Layers above the target without gradient.</summary>
    LayersAbove = 8,

    /// <summary>
    /// Whole batches. Parts of a batch are added up by their share of the counted tokens, which is right for a mean over tokens alone; a
    /// loss that is a mean over texts, or compares texts, needs this.
    /// </summary>
    WholeBatches = 16,
}

/// <summary>What a combination of <see cref="PassNeeds"/> implies.</summary>
public static class PassNeedsExtensions
{
    /// <summary>Whether hidden states of one layer enter the losses, so that matrices up to it are trained.</summary>
    public static bool UseTarget(this PassNeeds needs) => needs.HasFlag(PassNeeds.TargetStates);

    /// <summary>Whether every layer of the frozen model is needed.</summary>
    public static bool UseWholeModel(this PassNeeds needs) =>
        !needs.UseTarget() || (needs & (PassNeeds.Outputs | PassNeeds.Likelihoods | PassNeeds.LayersAbove)) != 0;
}
