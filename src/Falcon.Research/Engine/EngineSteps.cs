using Falcon.Checkpoints;
using Falcon.Engine;
using Falcon.Methods.Falcon;
using Falcon.Methods.Terms;
using Falcon.Models;
using Falcon.Optimization;
using Falcon.Runs.Configuration;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Research.Engine;

/// <summary>
/// Our engine under the same settings as <see cref="FaithfulLoop"/>: the one place of the benchmark that knows how a run is put together.
/// Owns what it opens.
/// </summary>
internal sealed class EngineSteps : IDisposable
{
    private const long StreamedCacheMemory = 256L << 20;

    private readonly FrozenModel _frozen;
    private readonly TrainedParameters _trained;
    private readonly ActivationCache? _cache;
    private readonly SophiaOfficial _optimizer;
    private readonly FalconObjective _objective;

    private EngineSteps(FrozenModel frozen, TrainedParameters trained, ActivationCache? cache, int layer, ScratchFile? state)
    {
        (_frozen, _trained, _cache) = (frozen, trained, cache);
        _objective = new FalconObjective(
            new LayerPasses(frozen.Suffix(trained, layer) ?? frozen.Model, trained, layer, cache: cache),
            trained,
            new LossConfig()
        );
        frozen.Release();
        _optimizer = new SophiaOfficial(trained.Masters, 5e-5, weightDecay: 1e-3, file: state);
    }

    /// <summary>Opens the model as the variant wants it and does what a run does before its first step.</summary>
    /// <param name="variant">
    /// <c>uncached</c>; <c>cached</c>, with all activations in memory and the rest of the frozen model released; or <c>streamed</c>, where
    /// also masters, moments and most activations lie in a file.
    /// </param>
    /// <param name="checkpoint">The files, borrowed.</param>
    /// <param name="compute">Dtype and device.</param>
    /// <param name="layer">Target layer.</param>
    /// <param name="trained">Names of the trained matrices.</param>
    /// <param name="batches">Every batch of the run, for the caches.</param>
    /// <param name="scratch">The file of a streamed run, borrowed.</param>
    /// <param name="cancellation">Stops between layers.</param>
    public static EngineSteps Open(
        string variant,
        Checkpoint checkpoint,
        ComputeOptions compute,
        int layer,
        IReadOnlyList<string> trained,
        IReadOnlyList<TokenBatch> batches,
        ScratchFile scratch,
        CancellationToken cancellation
    )
    {
        var streamed = variant == "streamed";
        var state = streamed ? scratch : null;
        // With caches nothing of the frozen model is needed in a step but the layers that are trained.
        var frozen = FrozenModel.Open(checkpoint, compute, streamed: variant != "uncached", layer, cancellation);
        var parameters = new TrainedParameters(trained, checkpoint.LoadStored, compute.DType, compute.Device, state);
        var parts = CacheParts.Of(parameters, layer);
        var cache =
            variant == "uncached"
                ? null
                : ActivationCache.Fill(
                    frozen.Model,
                    parts,
                    batches,
                    0,
                    streamed ? StreamedCacheMemory : long.MaxValue,
                    state,
                    cancellation: cancellation
                );
        return new EngineSteps(frozen, parameters, cache, layer, state);
    }

    /// <summary>One step; gives the forget and the weighted retain loss.</summary>
    public (double Forget, double Retain) Step(TokenBatch forget, TokenBatch retain, Tensor offset, double retainWeight)
    {
        using var scope = NewDisposeScope();
        var gradients = _objective.Gradients(forget, retain, offset, retainWeight);
        _optimizer.BeginStep();
        for (var i = 0; i < _trained.Names.Count; i++)
        {
            var (f, r) = (gradients.Forget[i].reshape(-1), gradients.Retain[i].reshape(-1));
            var mix = GradientCombination.Mix(f, r, zeroNormThreshold: 0);
            var index = i;
            _optimizer.UpdateParameter(
                i,
                (start, count) =>
                    GradientCombination.WeightedSum(f.narrow(0, start, count), r.narrow(0, start, count), mix.Forget, mix.Retain),
                (start, values) => _trained.Refresh(index, start, values)
            );
        }

        return (gradients.ForgetLoss, gradients.RetainLoss);
    }

    public void Dispose()
    {
        _optimizer.Dispose();
        _cache?.Dispose();
        _trained.Dispose();
        _frozen.Dispose();
    }
}
