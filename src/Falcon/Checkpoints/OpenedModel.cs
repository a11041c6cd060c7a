using Falcon.Models;
using Falcon.Runtime;

namespace Falcon.Checkpoints;

/// <summary>
/// A checkpoint's model for passes without training: in memory where it fits, else read layer by layer. Owns its weights, not the
/// checkpoint.
/// </summary>
public sealed class OpenedModel : IDisposable
{
    // Program, hidden states under way, one batch's intermediate tensors and logits.
    private const long WorkBytes = 3L << 29;
    private const double FreeShare = 0.9;

    private readonly IDisposable _weights;

    private OpenedModel(CausalLM model, IDisposable weights) => (Model, _weights) = (model, weights);

    /// <summary>The model.</summary>
    public CausalLM Model { get; }

    /// <summary>Opens the model; says so in the log when it is streamed.</summary>
    /// <param name="checkpoint">The files, borrowed; they must stay open.</param>
    /// <param name="compute">Dtype and device.</param>
    /// <param name="memoryLimit">Bytes of resident memory; null for what the machine has to spare.</param>
    /// <param name="log">Where the decision goes.</param>
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
            $"{checkpoint.Directory}: in memory the model would take {PeakMemory.Text(needed)} of {PeakMemory.Text(limit)}, so it is read "
                + $"layer by layer"
        );
        var streamed = checkpoint.StreamWeights(compute.DType, compute.Device);
        return new OpenedModel(new CausalLM(checkpoint.Config, streamed), streamed);
    }

    /// <summary>Releases the weights.</summary>
    public void Dispose() => _weights.Dispose();
}
