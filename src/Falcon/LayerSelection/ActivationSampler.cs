using Falcon.Models;
using static TorchSharp.torch;

namespace Falcon.LayerSelection;

/// <summary>The activation of the last real token at the output of every layer, one forward pass a text for all layers (FALCON, step 1.1).</summary>
public static class ActivationSampler
{
    private const int TokensPerBatch = 8192;

    /// <summary>Runs the texts in batches of like length.</summary>
    /// <param name="model">The unchanged model, loaded at least through <paramref name="last"/>.</param>
    /// <param name="texts">Token ids, one array a text.</param>
    /// <param name="first">Lowest layer to sample.</param>
    /// <param name="last">Highest layer to sample; nothing above it runs.</param>
    /// <param name="padId">Padding id.</param>
    /// <param name="progress">Called with the number of texts done.</param>
    /// <param name="cancellation">Stops between batches.</param>
    /// <returns>For each layer from first to last [n, H] float32 on the CPU, rows in the order of the texts; the caller owns them.</returns>
    public static IReadOnlyList<Tensor> LastTokenStates(
        CausalLM model, IReadOnlyList<int[]> texts, int first, int last, int padId, Action<int>? progress = null, CancellationToken cancellation = default)
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        var results = Enumerable.Range(first, last - first + 1).Select(_ => zeros([texts.Count, model.Config.HiddenSize], float32, CPU)).ToList();
        var order = Enumerable.Range(0, texts.Count).OrderBy(i => texts[i].Length).ThenBy(i => i).ToArray();
        for (var begin = 0; begin < order.Length;)
        {
            cancellation.ThrowIfCancellationRequested();
            var end = begin + 1;
            while (end < order.Length && (end - begin + 1) * texts[order[end]].Length <= TokensPerBatch) end++;
            SampleBatch(model, texts, order[begin..end], first, last, padId, results);
            progress?.Invoke(begin = end);
        }

        return [.. results.Select(result => result.MoveToOuterDisposeScope())];
    }

    private static void SampleBatch(CausalLM model, IReadOnlyList<int[]> texts, int[] chosen, int first, int last, int padId, List<Tensor> results)
    {
        using var scope = NewDisposeScope();
        var batch = new TokenBatch([.. chosen.Select(i => texts[i])], padId);
        using var context = batch.Context(model);
        // The last real token of each row among the flattened positions of a right-padded batch.
        var positions = tensor(chosen.Select((text, row) => (long)row * batch.Length + texts[text].Length - 1).ToArray(), int64, model.Device);
        var rows = tensor(chosen.Select(i => (long)i).ToArray(), int64);
        var hidden = model.Embed(batch.InputIds(model.Device));
        for (var layer = 0; layer <= last; layer++)
        {
            hidden = model.Layer(layer, hidden, context);
            if (layer < first) continue;
            var states = hidden.reshape(-1, hidden.shape[2]).index_select(0, positions).to(float32).cpu(); // [b, H]
            results[layer - first].index_copy_(0, rows, states);
        }
    }
}
