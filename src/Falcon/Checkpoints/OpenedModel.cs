using Falcon.Models;
using Falcon.Runtime;

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

    private OpenedModel(CausalLM model, IDisposable weights) => (Model, _weights) = (model, weights);

    /// <summary>The model.</summary>
    public CausalLM Model { get; }

    /// <summary>Opens the model; when it is read layer by layer, the log says so.</summary>
    /// <param name="checkpoint">The checkpoint, borrowed; it must stay open.</param>
    /// <param name="compute">Dtype and device.</param>
    /// <param name="memoryLimit">Most bytes of resident memory; null for 90 % of the memory that is available.</param>
    /// <param name="log">Receives the decision.</param>
    /// <param name="throughLayer">Nothing above this layer is needed; null for the whole model.</param>
    /// <exception cref="NumericalFailureException">A weight is not finite.</exception>
    public static OpenedModel Open(Checkpoint checkpoint, ComputeOptions compute, long? memoryLimit, IRunLog log, int? throughLayer = null)
    {
        var limit = memoryLimit ?? (long)(PeakMemory.Available() * FreeShare);
        var needed = checkpoint.NeededBytes(compute.DType, throughLayer) + WorkBytes;
        if (needed <= limit || compute.Device.type != TorchSharp.DeviceType.CPU)
        {
            var weights = checkpoint.LoadWeights(compute.DType, compute.Device, throughLayer);
            return new OpenedModel(new CausalLM(checkpoint.Config, weights), weights);
        }

        log.Information(
            $"{checkpoint.Directory}: the model needs {PeakMemory.Text(needed)} of memory and the limit is {PeakMemory.Text(limit)}; "
                + "it is read layer by layer"
        );
        var streamed = checkpoint.StreamWeights(compute.DType, compute.Device);
        return new OpenedModel(new CausalLM(checkpoint.Config, streamed), streamed);
    }

    /// <summary>Releases the weights.</summary>
    public void Dispose() => _weights.Dispose();
}
