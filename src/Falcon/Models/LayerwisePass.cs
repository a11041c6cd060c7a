using TorchSharp;
using static TorchSharp.torch;

namespace Falcon.Models;

/// <summary>
/// Many batches through the layers of a model, without gradient. A model in memory takes one batch after the other; of a streamed one every
/// layer is read once for as many batches as <see cref="HiddenBytes"/> of hidden states allow.
/// </summary>
public sealed class LayerwisePass(CausalLM model)
{
    /// <summary>What one layer computes: layer, batch and the residual stream [B, T, H] before it to the stream after it.</summary>
    public delegate Tensor LayerStep(int layer, int batch, Tensor hidden, AttentionContext context);

    /// <summary>Looks at the residual stream [B, T, H] of a batch after a layer; borrowed.</summary>
    public delegate void LayerVisit(int layer, int batch, Tensor hidden);

    /// <summary>Largest total of hidden states that wait for the next layer of a streamed model, in bytes.</summary>
    public long HiddenBytes { get; init; } = 512L << 20;

    /// <summary>How a layer is applied; the model's own layer when null.</summary>
    public LayerStep? Step { get; init; }

    /// <summary>Called with layer, batch and the residual stream [B, T, H] after the layer; borrowed.</summary>
    public LayerVisit? AfterLayer { get; init; }

    /// <summary>Called with the number of finished batches, in fractions of all the work.</summary>
    public Action<double>? Progress { get; init; }

    /// <summary>Stops between layers.</summary>
    public CancellationToken Cancellation { get; init; }

    /// <summary>Runs the batches through layers 0 to <paramref name="last"/>.</summary>
    /// <param name="batches">The batches.</param>
    /// <param name="last">The highest layer.</param>
    /// <param name="finish">
    /// Called for every batch with the residual stream [B, T, H] after the last layer, borrowed. A streamed model may read its head here:
    /// all batches that are under way call it one after the other.
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
