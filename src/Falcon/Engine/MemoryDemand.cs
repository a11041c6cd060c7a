using Falcon.Checkpoints.Safetensors;
using Falcon.Models;
using Falcon.Models.Families;
using Falcon.Runtime;

namespace Falcon.Engine;

/// <summary>The properties of a run that decide how much memory it takes.</summary>
/// <param name="Model">The architecture.</param>
/// <param name="Compute">Compute dtype and device.</param>
/// <param name="Target">The target layer; where it is not chosen yet, the highest possible one.</param>
/// <param name="Trained">Names of the trained tensors.</param>
/// <param name="Needs">What the objective asks of the passes.</param>
/// <param name="Engine">Limits, caches, streaming.</param>
public sealed record MemoryDemand(
    ModelConfig Model,
    ComputeOptions Compute,
    int Target,
    IReadOnlyList<string> Trained,
    PassNeeds Needs,
    EngineSettings Engine
)
{
    /// <summary>
    /// Most logits in memory at a time where no gradient is taken, 128 MiB of float32: with a large vocabulary those of a whole batch would
    /// be larger than the model.
    /// </summary>
    internal const long LogitsAtATime = 1 << 25;

    /// <summary>Float32 numbers that the optimiser keeps of each trained parameter beside its master.</summary>
    public int Moments { get; init; } = 2;

    /// <summary>Whether the whole frozen model is needed, for the objective or for measuring.</summary>
    public bool WholeModel { get; init; }

    /// <summary>Number of parameters of the teacher, another model whose outputs training preserves; 0 without one.</summary>
    public long TeacherParameters { get; init; }

    /// <summary>Bytes of an element in the compute dtype.</summary>
    internal long Element => TensorBytes.ElementSize(Compute.DType);

    /// <summary>The lowest layer that holds a trained tensor; -1 for the embedding.</summary>
    internal int Lowest => Trained.Min(TrainedParameters.LayerOf);

    /// <summary>Whether the lowest layer trains nothing but its down projection.</summary>
    internal bool StartsAtDown => TrainedParameters.AreDownProjectionsAt(Trained, Lowest);

    /// <summary>Whether the embedding is among the trained tensors.</summary>
    internal bool TrainsEmbedding => Trained.Any(WeightNames.IsEmbedding);

    /// <summary>Whether the losses look at hidden states of one layer and at no likelihoods.</summary>
    internal bool OfStates => Needs.UseTarget() && !Needs.HasFlag(PassNeeds.Likelihoods);

    /// <summary>Whether the passes continue to the logits, with gradient.</summary>
    internal bool ToOutput => OfStates && Needs.HasFlag(PassNeeds.Outputs);

    /// <summary>Whether the frozen model can be read layer by layer.</summary>
    internal bool CanStream =>
        !TrainsEmbedding
        && OfStates
        && !ToOutput
        && Engine.Cache != CacheUse.Off
        && Engine.Path == EnginePath.Shared
        && Compute.Device.type == TorchSharp.DeviceType.CPU;

    /// <summary>Bytes of a step over <paramref name="tokens"/> padded tokens: what is saved for the backward pass.</summary>
    internal long StepBytes(long tokens)
    {
        // Losses of likelihoods run all layers with gradient and hold the logits and their softmax in float32.
        var logits = 4L * sizeof(float) * Model.VocabularySize;
        if (!OfStates) return tokens * (SavedBytesPerToken(0, Model.LayerCount - 1, startsAtDown: false) + logits);
        var top = ToOutput ? Model.LayerCount - 1 : Target;
        return tokens * (SavedBytesPerToken(Math.Max(0, Lowest), top, StartsAtDown) + (ToOutput ? logits : 0)) + AboveBytes(tokens);
    }

    // A pass over the layers above the target while the step's own tensors wait for their backward pass: the intermediate tensors of one
    // layer, and logits, their shifted exponentials and the states before the head.
    private long AboveBytes(long tokens) =>
        Needs.HasFlag(PassNeeds.LayersAbove)
            ? tokens * Element * (4L * Model.IntermediateSize + 4L * Model.HiddenSize)
                + 2 * sizeof(float) * Math.Min(tokens * Model.VocabularySize, LogitsAtATime)
            : 0;

    /// <summary>
    /// Bytes of a forward pass without gradient over the largest batches that are made (8192 tokens), and of the logits of a part of them.
    /// </summary>
    internal long PassBytes() =>
        8192 * Element * (2L * Model.IntermediateSize + 4L * Model.HiddenSize) + (WholeModel ? 3L << 27 : 0);

    // Four intermediate tensors of the MLP, the projections of attention, and float32 copies in the norms.
    private long SavedBytesPerToken(int lowest, int top, bool startsAtDown)
    {
        long hidden = Model.HiddenSize, inner = Model.IntermediateSize, queries = (long)Model.HeadCount * Model.HeadSize;
        var layer = Element * (4 * inner + 6 * hidden + 5 * queries) + 2 * sizeof(float) * 2 * hidden;
        var losses = 8 * sizeof(float) * hidden; // float32 copies of anchor, frozen and their normalised forms
        return startsAtDown
            ? Element * (inner + 2 * hidden) + (top - lowest) * layer + losses
            : (top - lowest + 1) * layer + losses;
    }
}
