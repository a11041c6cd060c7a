using Falcon.Configuration;
using Falcon.Methods;
using Falcon.Models;
using Falcon.Optimization;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Benchmarks;

/// <summary>Our engine under the same settings as <see cref="FaithfulLoop"/>: the one place of the benchmark that knows how a run is put together. Owns what it opens.</summary>
internal sealed class EngineSteps : IDisposable
{
    private readonly Weights _weights;
    private readonly TrainedParameters _trained;
    private readonly SophiaOfficial _optimizer;
    private readonly FalconObjective _objective;

    private EngineSteps(Weights weights, TrainedParameters trained, FalconObjective objective) =>
        (_weights, _trained, _objective, _optimizer) = (weights, trained, objective, new SophiaOfficial(trained.Masters, 5e-5, weightDecay: 1e-3));

    /// <summary>Why a variant cannot be had; null where it can.</summary>
    public static string? Missing(string variant) => variant == "uncached" ? null : $"{variant}: not part of this version's engine";

    /// <summary>Opens the model as the variant wants it and prepares what is done before the first step.</summary>
    /// <param name="variant"><c>uncached</c>, <c>cached</c> or <c>streamed</c>.</param>
    /// <param name="checkpoint">The files, borrowed.</param>
    /// <param name="compute">Dtype and device.</param>
    /// <param name="layer">Target layer.</param>
    /// <param name="trained">Names of the trained matrices.</param>
    /// <param name="batches">Every batch of the run, for the caches.</param>
    public static EngineSteps Open(string variant, Checkpoint checkpoint, ComputeOptions compute, int layer, IReadOnlyList<string> trained, IReadOnlyList<TokenBatch> batches)
    {
        if (Missing(variant) is { } reason) throw new UserInputException(reason);
        _ = batches;
        var weights = checkpoint.LoadWeights(compute.DType, compute.Device, layer);
        var frozen = new CausalLM(checkpoint.Config, weights);
        var parameters = new TrainedParameters(frozen, trained);
        return new EngineSteps(weights, parameters, new FalconObjective(new LayerPasses(frozen, parameters, layer), parameters, new LossConfig()));
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
                i, (start, count) => f.narrow(0, start, count).to(float32).mul(mix.Forget).add_(r.narrow(0, start, count).to(float32), alpha: mix.Retain),
                (start, values) => _trained.Refresh(index, start, values));
        }

        return (gradients.ForgetLoss, gradients.RetainLoss);
    }

    public void Dispose()
    {
        _optimizer.Dispose();
        _trained.Dispose();
        _weights.Dispose();
    }
}
