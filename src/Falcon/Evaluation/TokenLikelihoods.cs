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

/// <summary>What one pass tells of the scored tokens of a text.</summary>
/// <param name="LogProbabilities">log p(token | tokens before it), natural logarithm, one a scored token.</param>
/// <param name="Hits">Whether the token is the most likely one (the first of equals), one a scored token.</param>
public sealed record TokenScores(double[] LogProbabilities, bool[] Hits);

/// <summary>Log-probabilities of the scored tokens of many texts: the one pass that all likelihood metrics share.</summary>
public static class TokenLikelihoods
{
    // Logits in memory at a time, 128 MiB of float32: with a large vocabulary they would be larger than the model.
    private const long LogitsAtATime = 1 << 25;

    /// <summary>Scores sequences in batches of like length.</summary>
    /// <param name="model">The whole model.</param>
    /// <param name="sequences">Texts; each with at least one scored token.</param>
    /// <param name="padId">Padding id.</param>
    /// <param name="tokensPerBatch">Upper limit of padded tokens in a batch; bounds memory.</param>
    /// <param name="progress">Called with the number of scored sequences.</param>
    /// <param name="cancellation">Stops between batches.</param>
    /// <returns>The scores of each sequence, in the order given; float32 log-softmax.</returns>
    public static TokenScores[] Compute(
        CausalLM model, IReadOnlyList<ScoredSequence> sequences, int padId, int tokensPerBatch = 4096, Action<int>? progress = null, CancellationToken cancellation = default)
    {
        var results = new TokenScores[sequences.Count];
        var order = Enumerable.Range(0, sequences.Count).OrderBy(i => sequences[i].Tokens.Length).ThenBy(i => i).ToArray();
        List<int[]> chunks = [];
        for (var begin = 0; begin < order.Length; begin += chunks[^1].Length)
        {
            var end = begin + 1;
            while (end < order.Length && (end - begin + 1) * (sequences[order[end]].Tokens.Length - 1) <= tokensPerBatch) end++;
            chunks.Add(order[begin..end]);
        }

        var done = 0;
        List<TokenBatch> batches = [.. chunks.Select(chunk => new TokenBatch([.. chunk.Select(i => sequences[i].Tokens[..^1])], padId))]; // the last token is only predicted
        new LayerwisePass(model) { Cancellation = cancellation }.Run(batches, model.Config.LayerCount - 1, (batch, hidden) =>
        {
            Score(model, sequences, chunks[batch], batches[batch].Length, hidden, results);
            progress?.Invoke(done += chunks[batch].Length);
        });
        return results;
    }

    private static void Score(CausalLM model, IReadOnlyList<ScoredSequence> sequences, int[] chunk, int length, Tensor hidden, TokenScores[] results)
    {
        using var scope = NewDisposeScope();

        // Only the positions that predict a scored token go through the head.
        List<long> positions = [], targets = [];
        for (var row = 0; row < chunk.Length; row++)
        {
            var sequence = sequences[chunk[row]];
            for (var t = sequence.Start; t < sequence.Tokens.Length; t++)
            {
                positions.Add((long)row * length + t - 1);
                targets.Add(sequence.Tokens[t]);
            }
        }

        var predicting = hidden.reshape(-1, hidden.shape[2]).index_select(0, tensor(positions.ToArray(), int64, model.Device)); // [N, H]
        var (logProbabilities, hits) = ScoreTargets(model, predicting, tensor(targets.ToArray(), int64, model.Device));
        var offset = 0;
        foreach (var i in chunk)
        {
            var end = offset + sequences[i].ScoredCount;
            results[i] = new TokenScores(logProbabilities[offset..end], hits[offset..end]);
            offset = end;
        }
    }

    /// <summary>log p and hit of each target [N] from the residual stream [N, H] before it.</summary>
    private static (double[] LogProbabilities, bool[] Hits) ScoreTargets(CausalLM model, Tensor predicting, Tensor targets)
    {
        List<double> logProbabilities = [];
        List<bool> hits = [];
        var rows = Math.Max(1, LogitsAtATime / model.Config.VocabularySize);
        for (long begin = 0; begin < targets.shape[0]; begin += rows)
        {
            using var scope = NewDisposeScope();
            var count = Math.Min(rows, targets.shape[0] - begin);
            var logits = model.Head(predicting.narrow(0, begin, count)).to(float32); // [n, V]
            var target = targets.narrow(0, begin, count); // [n]
            var scores = logits.gather(1, target.unsqueeze(1)).squeeze(1) - logits.logsumexp(1);
            logProbabilities.AddRange(scores.cpu().data<float>().ToArray().Select(score => (double)score));
            hits.AddRange(logits.argmax(1).eq(target).cpu().data<bool>().ToArray());
        }

        return ([.. logProbabilities], [.. hits]);
    }
}
