using Falcon.Models;
using Falcon.Runtime;
using Falcon.Runtime.Machine;

namespace Falcon.Checkpoints;

/// <summary>
/// The model of a checkpoint for forward passes without training: in memory if it fits, otherwise read layer by layer. Owns its weights,
/// not the checkpoint.
/// </summary>
public sealed class OpenedModel : IDisposable
{
    // For the program, hidden states between layers, and the intermediate tensors and logits of one batch.
    private const long WorkBytes = 3L << 29;
    private const double FreeShare = 0.9;

    private readonly IDisposable _weights;

    private OpenedModel(CausalLM model, IDisposable weights, long bytes, long limit)
    {
        (Model, _weights, WeightBytes) = (model, weights, bytes);
        ReturnAbove = ReturnAboveFor(bytes, limit);
    }

    /// <summary>The model.</summary>
    public CausalLM Model { get; }

    /// <summary>Bytes of its weights in memory; 0 when it is read layer by layer.</summary>
    internal long WeightBytes { get; }

    /// <summary>Resident memory above which freed memory is given back (<see cref="FreedMemory"/>) while only this model runs.</summary>
    public long ReturnAbove { get; }

    /// <summary>The same for models that are open together.</summary>
    /// <param name="weightBytes">Bytes of all their weights in memory.</param>
    /// <param name="limit">Most bytes of resident memory.</param>
    internal static long ReturnAboveFor(long weightBytes, long limit) => (long)(Math.Min(weightBytes + WorkBytes, limit) * FreeShare);

    /// <summary>The bytes of resident memory that models may take.</summary>
    /// <param name="memoryLimit">The limit that was set; null for 90 % of the memory that is available.</param>
    internal static long LimitOf(long? memoryLimit) => memoryLimit ?? (long)(PeakMemory.Available() * FreeShare);

    /// <summary>Opens the model; when it is read layer by layer, the log says so.</summary>
    /// <param name="checkpoint">The checkpoint, borrowed; it must stay open.</param>
    /// <param name="compute">Dtype and device.</param>
    /// <param name="memoryLimit">Most bytes of resident memory; null for 90 % of the memory that is available.</param>
    /// <param name="log">Receives the decision.</param>
    /// <param name="throughLayer">Nothing above this layer is needed; null for the whole model.</param>
    /// <exception cref="NumericalFailureException">A weight is not finite.</exception>
    public static OpenedModel Open(Checkpoint checkpoint, ComputeOptions compute, long? memoryLimit, IRunLog log, int? throughLayer = null)
    {
        var limit = LimitOf(memoryLimit);
        var bytes = checkpoint.NeededBytes(compute.DType, throughLayer);
        var needed = bytes + WorkBytes;
        if (needed <= limit || compute.Device.type != TorchSharp.DeviceType.CPU)
        {
            var weights = checkpoint.LoadWeights(compute.DType, compute.Device, throughLayer);
            return new OpenedModel(new CausalLM(checkpoint.Config, weights), weights, bytes, limit);
        }

        log.Information(
            $"{checkpoint.Directory}: the model needs {PeakMemory.Text(needed)} of memory and the limit is {PeakMemory.Text(limit)}; "
                + "it is read layer by layer"
        );
        var streamed = checkpoint.StreamWeights(compute.DType, compute.Device);
        return new OpenedModel(new CausalLM(checkpoint.Config, streamed), streamed, 0, limit);
    }

    /// <summary>Releases the weights.</summary>
    public void Dispose() => _weights.Dispose();
}
