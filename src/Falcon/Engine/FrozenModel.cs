using Falcon.Checkpoints;
using Falcon.Models;
using Falcon.Runtime;

namespace Falcon.Engine;

/// <summary>The unchanged model of a run, in memory or read layer by layer as the memory plan says. Owns its weights.</summary>
internal sealed class FrozenModel : IDisposable
{
    private readonly Checkpoint _checkpoint;
    private readonly ComputeOptions _compute;
    private readonly Weights? _weights;
    private readonly StreamedWeights? _streamed;
    private Weights? _suffix;

    private FrozenModel(Checkpoint checkpoint, ComputeOptions compute, Weights? weights, StreamedWeights? streamed)
    {
        (_checkpoint, _compute, _weights, _streamed) = (checkpoint, compute, weights, streamed);
        Model = weights is not null ? new CausalLM(checkpoint.Config, weights) : new CausalLM(checkpoint.Config, streamed!);
    }

    /// <summary>The model.</summary>
    public CausalLM Model { get; }

    /// <summary>Opens the model.</summary>
    /// <param name="checkpoint">Its files, borrowed.</param>
    /// <param name="compute">Dtype and device.</param>
    /// <param name="streamed">Whether it is read layer by layer.</param>
    /// <param name="throughLayer">For a model in memory, the highest layer to load; null loads all.</param>
    /// <param name="cancellation">Stops the check of the stored values.</param>
    /// <exception cref="NumericalFailureException">A stored value is not finite.</exception>
    public static FrozenModel Open(
        Checkpoint checkpoint,
        ComputeOptions compute,
        bool streamed,
        int? throughLayer,
        CancellationToken cancellation
    )
    {
        var weights = streamed ? null : checkpoint.LoadWeights(compute.DType, compute.Device, throughLayer);
        var model = new FrozenModel(
            checkpoint,
            compute,
            weights,
            streamed ? checkpoint.StreamWeights(compute.DType, compute.Device) : null
        );
        checkpoint.RequireFiniteBeyond(weights, cancellation);
        return model;
    }

    /// <summary>
    /// For a streamed model, a model in memory with the untrained tensors of the layers that every step runs; nothing else stays loaded.
    /// Null for a model that is in memory already.
    /// </summary>
    /// <param name="trained">
    /// The trained parameters. Where the lowest layer trains only its down projection, the rest of that layer never runs in a step.
    /// </param>
    /// <param name="target">The target layer.</param>
    public CausalLM? Suffix(TrainedParameters trained, int target)
    {
        if (_streamed is null) return null;
        _streamed.Release();
        _suffix?.Dispose();
        var names = WeightNames
            .Expected(_checkpoint.Config)
            .Select(item => item.Name)
            .Where(name =>
                TrainedParameters.LayerOf(name) is var layer
                && layer >= trained.LowestLayer
                && layer <= target
                && !(layer == trained.LowestLayer && trained.StartsAtDownProjection && !WeightNames.IsFromDownProjectionOn(name))
                && !trained.Names.Contains(name)
            );
        _suffix = new Weights(names.ToDictionary(name => name, name => _checkpoint.Load(name, _compute.DType, _compute.Device)));
        return new CausalLM(_checkpoint.Config, _suffix, _compute.DType, _compute.Device);
    }

    /// <summary>Releases what is loaded of a streamed model; a later use reads it again.</summary>
    public void Release() => _streamed?.Release();

    /// <summary>Releases the weights.</summary>
    public void Dispose()
    {
        _weights?.Dispose();
        _streamed?.Dispose();
        _suffix?.Dispose();
    }
}
