using Falcon.Models;
using static TorchSharp.torch;

namespace Falcon.Layers;

/// <summary>
/// The activation of the last real token at the output of every layer, one forward pass a text for all layers (FALCON, step 1.1).
/// </summary>
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
    /// <returns>
    /// For each layer from first to last [n, H] float32 on the CPU, rows in the order of the texts; the caller owns them.
    /// </returns>
    public static IReadOnlyList<Tensor> LastTokenStates(
        CausalLM model,
        IReadOnlyList<int[]> texts,
        int first,
        int last,
        int padId,
        Action<int>? progress = null,
        CancellationToken cancellation = default
    )
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        var results = Enumerable
            .Range(first, last - first + 1)
            .Select(_ => zeros([texts.Count, model.Config.HiddenSize], float32, CPU))
            .ToList();
        var order = Enumerable.Range(0, texts.Count).OrderBy(i => texts[i].Length).ThenBy(i => i).ToArray();
        List<int[]> chosen = [];
        for (var begin = 0; begin < order.Length; begin += chosen[^1].Length)
        {
            var end = begin + 1;
            while (end < order.Length && (end - begin + 1) * texts[order[end]].Length <= TokensPerBatch) end++;
            chosen.Add(order[begin..end]);
        }

        List<TokenBatch> batches = [.. chosen.Select(rows => new TokenBatch([.. rows.Select(i => texts[i])], padId))];
        var pass = new LayerwisePass(model)
        {
            Cancellation = cancellation,
            Progress = done => progress?.Invoke((int)(done / batches.Count * texts.Count)),
            AfterLayer = (layer, batch, hidden) =>
            {
                if (layer < first) return;
                using var inner = NewDisposeScope();
                // The last real token of each row among the flattened positions of a right-padded batch.
                var positions = tensor(
                    chosen[batch].Select((text, row) => (long)row * batches[batch].Length + texts[text].Length - 1).ToArray(),
                    int64,
                    model.Device
                );
                var states = hidden.reshape(-1, hidden.shape[2]).index_select(0, positions).to(float32).cpu(); // [b, H]
                results[layer - first].index_copy_(0, tensor(chosen[batch].Select(i => (long)i).ToArray(), int64), states);
            },
        };
        pass.Run(batches, last);
        return [.. results.Select(result => result.MoveToOuterDisposeScope())];
    }
}
