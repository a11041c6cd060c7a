using TorchSharp;
using static TorchSharp.torch;

namespace Falcon.Models;

/// <summary>
/// Runs many batches through the layers of a model, without gradients. A model in memory takes one batch at a time. A streamed model reads
/// each layer once for as many batches as fit into <see cref="HiddenBytes"/> of hidden states.
/// </summary>
/// <param name="model">The model, borrowed.</param>
public sealed class LayerwisePass(CausalLM model)
{
    /// <summary>Computes one layer: the residual stream [B, T, H] of a batch before the layer to the stream after it.</summary>
    public delegate Tensor LayerStep(int layer, int batch, Tensor hidden, AttentionContext context);

    /// <summary>Sees the residual stream [B, T, H] of a batch after a layer; borrowed.</summary>
    public delegate void LayerVisit(int layer, int batch, Tensor hidden);

    /// <summary>Most bytes of hidden states that are held while a streamed model goes from layer to layer.</summary>
    public long HiddenBytes { get; init; } = 512L << 20;

    /// <summary>Replaces the model's own layer; null for the model's layer.</summary>
    public LayerStep? Step { get; init; }

    /// <summary>Called after every layer of every batch.</summary>
    public LayerVisit? AfterLayer { get; init; }

    /// <summary>Called with the number of finished batches; partly finished ones count as fractions.</summary>
    public Action<double>? Progress { get; init; }

    /// <summary>Stops between layers.</summary>
    public CancellationToken Cancellation { get; init; }

    /// <summary>Runs the batches through layers 0 to <paramref name="last"/>.</summary>
    /// <param name="batches">The batches.</param>
    /// <param name="last">The highest layer, from 0.</param>
    /// <param name="finish">
    /// Called for every batch with the residual stream [B, T, H] after the last layer, borrowed. It may use the output head of a streamed
    /// model: the batches of a group call it one after the other.
    /// </param>
    public void Run(IReadOnlyList<TokenBatch> batches, int last, Action<int, Tensor>? finish = null)
    {
        using var noGrad = no_grad();
        for (var begin = 0; begin < batches.Count;)
        {
            var end = begin + 1;
            if (model.IsStreamed)
            {
                var bytes = Bytes(batches[begin]);
                while (end < batches.Count && (bytes += Bytes(batches[end])) <= HiddenBytes) end++;
            }

            Run(batches, begin, end, last, finish);
            begin = end;
        }
    }

    private long Bytes(TokenBatch batch) =>
        (long)batch.Rows * batch.Length * model.Config.HiddenSize * model.DType.ElementSize();

    private void Run(IReadOnlyList<TokenBatch> batches, int begin, int end, int last, Action<int, Tensor>? finish)
    {
        using var scope = NewDisposeScope();
        List<AttentionContext> contexts = [];
        try
        {
            List<Tensor> hidden = [];
            for (var batch = begin; batch < end; batch++)
            {
                contexts.Add(batches[batch].Context(model));
                hidden.Add(model.Embed(batches[batch].InputIds(model.Device), contexts[^1].Positions));
            }

            for (var layer = 0; layer <= last; layer++)
            {
                for (var batch = begin; batch < end; batch++)
                {
                    Cancellation.ThrowIfCancellationRequested();
                    var i = batch - begin;
                    var after = Step is null ? model.Layer(layer, hidden[i], contexts[i]) : Step(layer, batch, hidden[i], contexts[i]);
                    hidden[i].Dispose();
                    hidden[i] = after;
                    AfterLayer?.Invoke(layer, batch, after);
                    Progress?.Invoke(begin + (layer * (end - begin) + i + 1.0) / (last + 1));
                }
            }

            for (var batch = begin; batch < end; batch++)
            {
                Cancellation.ThrowIfCancellationRequested();
                finish?.Invoke(batch, hidden[batch - begin]);
                hidden[batch - begin].Dispose();
            }
        }
        finally
        {
            foreach (var context in contexts) context.Dispose();
        }
    }
}
