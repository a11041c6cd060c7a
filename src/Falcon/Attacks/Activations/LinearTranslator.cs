using Falcon.Evaluation;
using Falcon.Models;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Falcon.Attacks.Activations;

/// <summary>
/// A linear decoder of hidden states: x + x A B + c, A [H, r], B [r, H], goes through the final norm and output head of a model (a tuned
/// lens of low rank; Belrose et al. 2023, arXiv 2303.08112). It starts as the plain lens and is trained by cross-entropy with AdamW, whose
/// weight decay pulls it back there. Owns its tensors.
/// </summary>
internal sealed class LinearTranslator : IDisposable
{
    private const double LearningRate = 1e-2;
    private const double Decay = 0.1;
    private const double Spread = 0.05;

    private readonly CausalLM _decoder;
    private readonly Parameter _down, _up, _shift;

    private LinearTranslator(CausalLM decoder, int rank, ulong seed)
    {
        _decoder = decoder;
        using var scope = NewDisposeScope();
        using var generator = new Generator(seed, decoder.Device);
        _down = new Parameter(
            (randn([decoder.Config.HiddenSize, rank], float32, decoder.Device, generator: generator) * Spread).DetachFromDisposeScope()
        );
        _up = new Parameter(zeros([rank, decoder.Config.HiddenSize], float32, decoder.Device).DetachFromDisposeScope());
        _shift = new Parameter(zeros([decoder.Config.HiddenSize], float32, decoder.Device).DetachFromDisposeScope());
        foreach (var parameter in new[] { _down, _up, _shift }) parameter.DetachFromDisposeScope();
    }

    /// <summary>Trains a decoder.</summary>
    /// <param name="decoder">The model whose norm and head read the states.</param>
    /// <param name="states">[N, H] float32 states.</param>
    /// <param name="targets">[N] the token that each state is to predict.</param>
    /// <param name="rank">Rank of the map.</param>
    /// <param name="steps">Steps; each uses all states.</param>
    /// <param name="seed">Seed of the initial values.</param>
    /// <param name="cancellation">Stops between steps.</param>
    public static LinearTranslator Fit(
        CausalLM decoder,
        Tensor states,
        Tensor targets,
        int rank,
        int steps,
        ulong seed,
        CancellationToken cancellation
    )
    {
        var translator = new LinearTranslator(decoder, rank, seed);
        using var optimizer = optim.AdamW([translator._down, translator._up, translator._shift], LearningRate, weight_decay: Decay);
        for (var step = 0; step < steps; step++)
        {
            cancellation.ThrowIfCancellationRequested();
            using var scope = NewDisposeScope();
            using var loss = nn.functional.cross_entropy(decoder.Head(translator.Translate(states)).to(float32), targets);
            optimizer.zero_grad();
            loss.backward();
            optimizer.step();
        }

        return translator;
    }

    /// <summary>log p of each target [N] read from the states [N, H].</summary>
    public double[] LogProbabilities(Tensor states, Tensor targets)
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        return TokenLikelihoods.ScoreTargets(_decoder, Translate(states), targets, distributions: false).LogProbabilities;
    }

    /// <summary>Releases the decoder's own tensors.</summary>
    public void Dispose()
    {
        _down.Dispose();
        _up.Dispose();
        _shift.Dispose();
    }

    private Tensor Translate(Tensor states)
    {
        using var scope = NewDisposeScope();
        return (states + states.matmul(_down).matmul(_up) + _shift).to(_decoder.DType).MoveToOuterDisposeScope();
    }
}
