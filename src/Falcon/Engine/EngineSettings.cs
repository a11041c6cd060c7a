using System.ComponentModel.DataAnnotations;

namespace Falcon.Engine;

/// <summary>How the forward passes are made; the numbers are the same but for rounding.</summary>
public enum EnginePath
{
    /// <summary>What both models share is computed once, and nothing above the target layer.</summary>
    Shared,

    /// <summary>Two whole passes up to the target layer in every step; for comparison.</summary>
    Plain,
}

/// <summary>Whether the frozen model's activations are kept across epochs.</summary>
public enum CacheUse
{
    /// <summary>Where the texts repeat often enough to make it worthwhile and there is room, and always for a streamed model.</summary>
    Auto,

    /// <summary>Always.</summary>
    On,

    /// <summary>Never; a model that must be streamed then does not run.</summary>
    Off,
}

/// <summary>What a run may use of the machine. Changes speed and memory; results only by rounding.</summary>
public sealed record EngineSettings
{
    /// <summary>Shared or plain passes.</summary>
    public EnginePath Path { get; init; }

    /// <summary>Whether activations of the frozen model are kept.</summary>
    public CacheUse Cache { get; init; }

    /// <summary>Bytes of activations kept in memory, the rest goes to a file beside the output; null for a quarter of the limit.</summary>
    [Range(0.0, long.MaxValue)]
    public long? CacheMemory { get; init; }

    /// <summary>
    /// Directory where kept activations stay for later runs with the same weights, texts, layers and dtype; null keeps them for the run
    /// alone.
    /// </summary>
    public string? CacheDirectory { get; init; }

    /// <summary>
    /// Bytes of resident memory that the run may take; null for what the machine has to spare. A model that does not fit is streamed layer
    /// by layer.
    /// </summary>
    [Range(1.0, long.MaxValue)]
    public long? MemoryLimit { get; init; }

    /// <summary>Read the frozen model layer by layer even where it would fit in memory.</summary>
    public bool Stream { get; init; }

    /// <summary>Keep the float32 master weights and the optimiser's moments in a file even where they would fit in memory.</summary>
    public bool StateInFile { get; init; }

    /// <summary>
    /// Most padded tokens in a micro-batch: larger batches are split by length and their gradients added up; 0 for whole batches.
    /// </summary>
    [Range(0, int.MaxValue)]
    public int MicroBatchTokens { get; init; }
}
