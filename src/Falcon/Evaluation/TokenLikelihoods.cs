using Falcon.Models;
using static TorchSharp.torch;

namespace Falcon.Evaluation;

/// <summary>A text to be scored: all its tokens, and where the scored part begins.</summary>
/// <param name="Tokens">Prompt and completion.</param>
/// <param name="Start">Index of the first scored token; at least 1, as the first token is never predicted.</param>
public readonly record struct ScoredSequence(int[] Tokens, int Start)
{
    /// <summary>Number of scored tokens.</summary>
    public int ScoredCount => Tokens.Length - Start;
}

/// <summary>Log-probabilities of the scored tokens of many texts: the one pass that all likelihood metrics share.</summary>
public static class TokenLikelihoods
{
    /// <summary>Scores sequences in batches of like length.</summary>
    /// <param name="model">The whole model.</param>
    /// <param name="sequences">Texts; each with at least one scored token.</param>
    /// <param name="padId">Padding id.</param>
    /// <param name="tokensPerBatch">Upper limit of padded tokens in a batch; bounds memory.</param>
    /// <param name="progress">Called with the number of scored sequences.</param>
    /// <param name="cancellation">Stops between batches.</param>
    /// <returns>For each sequence log p(token | tokens before it), natural logarithm, one value a scored token; float32 log-softmax.</returns>
    public static double[][] Compute(
        CausalLM model, IReadOnlyList<ScoredSequence> sequences, int padId, int tokensPerBatch = 4096, Action<int>? progress = null, CancellationToken cancellation = default)
    {
        var results = new double[sequences.Count][];
        var order = Enumerable.Range(0, sequences.Count).OrderBy(i => sequences[i].Tokens.Length).ThenBy(i => i).ToArray();
        for (var begin = 0; begin < order.Length;)
        {
            cancellation.ThrowIfCancellationRequested();
            var end = begin + 1;
            while (end < order.Length && (end - begin + 1) * sequences[order[end]].Tokens.Length <= tokensPerBatch) end++;
            var chunk = order[begin..end];
            var scores = Score(model, [.. chunk.Select(i => sequences[i])], padId);
            for (var row = 0; row < chunk.Length; row++) results[chunk[row]] = scores[row];
            begin = end;
            progress?.Invoke(begin);
        }

        return results;
    }

    private static double[][] Score(CausalLM model, IReadOnlyList<ScoredSequence> sequences, int padId)
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        var batch = new TokenBatch([.. sequences.Select(sequence => sequence.Tokens)], padId);
        var ids = batch.InputIds(model.Device); // [B, T]
        using var context = batch.Context(model);
        var hidden = model.Layers(model.Embed(ids), 0, model.Config.LayerCount - 1, context); // [B, T, H]

        // Only the positions that predict a scored token go through the head.
        List<long> positions = [], targets = [];
        for (var row = 0; row < sequences.Count; row++)
            for (var t = sequences[row].Start; t < sequences[row].Tokens.Length; t++)
            {
                positions.Add((long)row * batch.Length + t - 1);
                targets.Add(sequences[row].Tokens[t]);
            }

        var predicting = hidden.reshape(-1, hidden.shape[2]).index_select(0, tensor(positions.ToArray(), int64, model.Device)); // [N, H]
        var logits = model.Head(predicting).to(float32); // [N, V]
        var target = tensor(targets.ToArray(), int64, model.Device).unsqueeze(1);
        var scores = (logits.gather(1, target).squeeze(1) - logits.logsumexp(1)).cpu().data<float>().ToArray();
        var results = new double[sequences.Count][];
        var offset = 0;
        for (var row = 0; row < sequences.Count; row++)
        {
            results[row] = [.. scores.AsSpan(offset, sequences[row].ScoredCount).ToArray().Select(score => (double)score)];
            offset += sequences[row].ScoredCount;
        }

        return results;
    }
}
