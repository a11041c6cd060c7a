using Falcon.Evaluation;
using Falcon.Models;
using static TorchSharp.torch;

namespace Falcon.Attacks.Activations;

/// <summary>
/// The residual stream after every layer, at the positions that predict the scored tokens of texts, with those tokens. Owns its tensors.
/// </summary>
internal sealed class PredictingStates : IDisposable
{
    private readonly Tensor[] _byLayer;
    private readonly int[] _starts;

    private PredictingStates(Tensor[] byLayer, int[] starts, long[] targets) => (_byLayer, _starts, Targets) = (byLayer, starts, targets);

    /// <summary>Number of layers.</summary>
    public int LayerCount => _byLayer.Length;

    /// <summary>The scored tokens, text after text.</summary>
    public long[] Targets { get; }

    /// <summary>The states after a layer [N, H], one row for each scored token, float32 on the model's device; borrowed.</summary>
    public Tensor After(int layer) => _byLayer[layer];

    /// <summary>The rows of a text.</summary>
    public Range Rows(int text) => _starts[text].._starts[text + 1];

    /// <summary>Reads the states of texts.</summary>
    public static PredictingStates Read(CausalLM model, IReadOnlyList<ScoredSequence> texts, int padId, CancellationToken cancellation)
    {
        using var scope = NewDisposeScope();
        int[] starts = [0, .. texts.Select((text, i) => texts.Take(i + 1).Sum(one => one.ScoredCount))];
        var states = Enumerable
            .Range(0, model.Config.LayerCount)
            .Select(_ => zeros([starts[^1], model.Config.HiddenSize], float32, model.Device))
            .ToArray();
        var batches = TokenLikelihoods.Batches(texts);
        List<(TokenBatch Tokens, int[] Rows)> inputs = [.. batches.Select(batch => TokenLikelihoods.Inputs(texts, batch, padId))];
        new LayerwisePass(model)
        {
            Cancellation = cancellation,
            AfterLayer = (layer, batch, hidden) =>
            {
                using var inner = NewDisposeScope();
                for (var i = 0; i < batches[batch].Length; i++)
                {
                    var text = batches[batch][i];
                    states[layer]
                        .narrow(0, starts[text], texts[text].ScoredCount)
                        .copy_(hidden[inputs[batch].Rows[i]].narrow(0, texts[text].Start - 1, texts[text].ScoredCount));
                }
            },
        }.Run([.. inputs.Select(input => input.Tokens)], model.Config.LayerCount - 1);
        foreach (var layer in states) layer.DetachFromDisposeScope();
        return new PredictingStates(states, starts, [.. texts.SelectMany(text => text.Tokens[text.Start..]).Select(token => (long)token)]);
    }

    /// <summary>Releases the states.</summary>
    public void Dispose()
    {
        foreach (var states in _byLayer) states.Dispose();
    }
}
