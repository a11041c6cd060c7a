using Falcon.Attacks.Protocol;
using Falcon.Evaluation;
using Falcon.Models;
using Falcon.Tokenization;
using static TorchSharp.torch;

namespace Falcon.Attacks.Activations;

/// <summary>The residual stream after every layer at the tokens of texts. Owns its tensors.</summary>
internal sealed class ResidualStates : IDisposable
{
    private readonly Tensor[] _byLayer;

    private ResidualStates(Tensor[] byLayer) => _byLayer = byLayer;

    /// <summary>States after a layer [N, H], float32 on the CPU, one row for each token except the first of each text; borrowed.</summary>
    public Tensor After(int layer) => _byLayer[layer];

    /// <summary>Reads the states of texts. Two models with one tokenizer get the same rows.</summary>
    public static ResidualStates Read(LoadedModel loaded, IReadOnlyList<AttackText> texts, AttackData data, AttackSettings settings)
    {
        var model = loaded.Model;
        var prompts = new PromptEncoder(loaded.Tokenizer, data.PromptForm);
        List<ScoredSequence> sequences = [.. texts.Select(text => text.Tokens(prompts))];
        var batches = TokenLikelihoods.Batches(sequences);
        List<TokenBatch> inputs =
        [
            .. batches.Select(batch => new TokenBatch([.. batch.Select(i => sequences[i].Tokens)], loaded.Tokenizer.PadId ?? 0)),
        ];
        var firstRows = new int[inputs.Count];
        for (var batch = 1; batch < inputs.Count; batch++)
            firstRows[batch] = firstRows[batch - 1] + inputs[batch - 1].TokenCount - inputs[batch - 1].Rows;
        using var scope = NewDisposeScope();
        var states = Enumerable
            .Range(0, model.Config.LayerCount)
            .Select(_ => zeros([inputs.Sum(input => input.TokenCount - input.Rows), model.Config.HiddenSize], float32))
            .ToArray();
        new LayerwisePass(model)
        {
            Cancellation = settings.Cancellation,
            AfterLayer = (layer, batch, hidden) =>
            {
                using var inner = NewDisposeScope();
                var next = firstRows[batch];
                for (var row = 0; row < inputs[batch].Rows; row++)
                {
                    var length = inputs[batch].Sequences[row].Length - 1;
                    states[layer].narrow(0, next, length).copy_(hidden[row].narrow(0, 1, length));
                    next += length;
                }
            },
        }.Run(inputs, model.Config.LayerCount - 1);
        foreach (var layer in states) layer.DetachFromDisposeScope();
        return new ResidualStates(states);
    }

    /// <summary>Releases the states.</summary>
    public void Dispose()
    {
        foreach (var states in _byLayer) states.Dispose();
    }
}
