using Falcon.Engine;
using Falcon.Models;
using Falcon.Tokenization;
using static TorchSharp.torch;

namespace Falcon.Evaluation;

/// <summary>The tokens of a text, and where its scored part begins.</summary>
/// <param name="Tokens">Prompt and completion.</param>
/// <param name="Start">Index of the first scored token; at least 1, as the first token is never predicted.</param>
public readonly record struct ScoredSequence(int[] Tokens, int Start)
{
    /// <summary>Number of scored tokens.</summary>
    public int ScoredCount => Tokens.Length - Start;

    /// <summary>A prompt with its answer; the answer is scored.</summary>
    public static ScoredSequence Of(PromptAndAnswer text) => new(text.Tokens, text.AnswerStart);
}

/// <summary>What a likelihood pass computes for the scored tokens of a text.</summary>
/// <param name="LogProbabilities">log p(token | tokens before it), natural logarithm, one for each scored token.</param>
/// <param name="Hits">Whether the token is the most likely one (the first of equals), one for each scored token.</param>
public sealed record TokenScores(double[] LogProbabilities, bool[] Hits)
{
    /// <summary>
    /// mu = sum p log p under the model's own distribution at each scored token (min-k++); empty where it was not asked for.
    /// </summary>
    public double[] Means { get; init; } = [];

    /// <summary>sum p (log p)^2 - mu^2 at each scored token; empty where it was not asked for.</summary>
    public double[] Variances { get; init; } = [];
}

/// <summary>Log-probabilities of the scored tokens of many texts: the forward pass that all likelihood metrics share.</summary>
public static class TokenLikelihoods
{
    private const int DefaultTokensPerBatch = 4096;

    /// <summary>Scores texts in batches of similar length.</summary>
    /// <param name="model">The whole model.</param>
    /// <param name="sequences">Texts; each with at least one scored token.</param>
    /// <param name="padId">Padding id.</param>
    /// <param name="tokensPerBatch">Largest number of tokens in a batch, padding included; bounds memory.</param>
    /// <param name="distributions">Whether mean and variance of log p under the model's own distribution are computed too.</param>
    /// <param name="progress">Called with the number of scored sequences.</param>
    /// <param name="cancellation">Stops between batches.</param>
    /// <returns>The scores of each sequence, in the order given; float32 log-softmax.</returns>
    public static TokenScores[] Compute(
        CausalLM model,
        IReadOnlyList<ScoredSequence> sequences,
        int padId,
        int tokensPerBatch = DefaultTokensPerBatch,
        bool distributions = false,
        Action<int>? progress = null,
        CancellationToken cancellation = default
    )
    {
        var results = new TokenScores[sequences.Count];
        var done = 0;
        Run(model, sequences, Batches(sequences, tokensPerBatch), padId, distributions, (batch, scores) =>
        {
            for (var row = 0; row < batch.Length; row++) results[batch[row]] = scores[row];
            progress?.Invoke(done += batch.Length);
        }, cancellation);
        return results;
    }

    /// <summary>
    /// The pass itself: scores the given batches of indices into the sequences, and hands over each batch as soon as it is done.
    /// </summary>
    internal static void Run(
        CausalLM model,
        IReadOnlyList<ScoredSequence> sequences,
        IReadOnlyList<int[]> batches,
        int padId,
        bool distributions,
        Action<int[], TokenScores[]> scored,
        CancellationToken cancellation
    )
    {
        List<(TokenBatch Tokens, int[] Rows)> inputs = [.. batches.Select(batch => Inputs(sequences, batch, padId))];
        new LayerwisePass(model) { Cancellation = cancellation }.Run(
            [.. inputs.Select(input => input.Tokens)],
            model.Config.LayerCount - 1,
            (batch, hidden) =>
                scored(
                    batches[batch],
                    Score(model, [.. batches[batch].Select(i => sequences[i])], inputs[batch].Rows, hidden, distributions)
                )
        );
    }

    /// <summary>
    /// Indices of the sequences that are computed together: sorted by length, so that padding is short. Sequences that differ only in their
    /// last token (the letters after one question) share one row of the batch.
    /// </summary>
    internal static List<int[]> Batches(IReadOnlyList<ScoredSequence> sequences, int tokensPerBatch = DefaultTokensPerBatch)
    {
        var order = Enumerable.Range(0, sequences.Count).OrderBy(i => sequences[i].Tokens.Length).ThenBy(i => i).ToArray();
        List<int[]> batches = [];
        for (var begin = 0; begin < order.Length;)
        {
            var (end, rows) = (begin + 1, 1);
            for (; end < order.Length; end++)
            {
                var next = SharesInput(sequences[order[end - 1]], sequences[order[end]]) ? rows : rows + 1;
                if ((long)next * (sequences[order[end]].Tokens.Length - 1) > tokensPerBatch) break;
                rows = next;
            }

            batches.Add(order[begin..end]);
            begin = end;
        }

        return batches;
    }

    private static bool SharesInput(ScoredSequence one, ScoredSequence other) =>
        one.Tokens.AsSpan(0, one.Tokens.Length - 1).SequenceEqual(other.Tokens.AsSpan(0, other.Tokens.Length - 1));

    /// <summary>The input of a batch, and the row in which each of its sequences stands.</summary>
    internal static (TokenBatch Tokens, int[] Rows) Inputs(IReadOnlyList<ScoredSequence> sequences, int[] batch, int padId)
    {
        List<int[]> inputs = []; // the last token is only predicted
        var rows = new int[batch.Length];
        for (var i = 0; i < batch.Length; i++)
        {
            if (i == 0 || !SharesInput(sequences[batch[i - 1]], sequences[batch[i]])) inputs.Add(sequences[batch[i]].Tokens[..^1]);
            rows[i] = inputs.Count - 1;
        }

        return (new TokenBatch(inputs, padId), rows);
    }

    /// <summary>Scores the sequences of a batch from the residual stream [B, T, H] after the last layer.</summary>
    internal static TokenScores[] Score(
        CausalLM model,
        IReadOnlyList<ScoredSequence> sequences,
        int[] rows,
        Tensor hidden,
        bool distributions
    )
    {
        using var scope = NewDisposeScope();
        // Only the positions that predict a scored token go through the head.
        List<long> positions = [], targets = [];
        for (var i = 0; i < sequences.Count; i++)
            for (var t = sequences[i].Start; t < sequences[i].Tokens.Length; t++)
            {
                positions.Add(rows[i] * hidden.shape[1] + t - 1);
                targets.Add(sequences[i].Tokens[t]);
            }

        var predicting = hidden.reshape(-1, hidden.shape[2]).index_select(0, tensor(positions.ToArray(), int64, model.Device)); // [N, H]
        var all = ScoreTargets(model, predicting, tensor(targets.ToArray(), int64, model.Device), distributions);
        var results = new TokenScores[sequences.Count];
        var offset = 0;
        for (var i = 0; i < sequences.Count; i++)
        {
            var part = offset..(offset + sequences[i].ScoredCount);
            results[i] = new TokenScores(all.LogProbabilities[part], all.Hits[part])
            {
                Means = distributions ? all.Means[part] : [],
                Variances = distributions ? all.Variances[part] : [],
            };
            offset = part.End.Value;
        }

        return results;
    }

    /// <summary>
    /// log p and hit of each target [N] from the residual stream [N, H] before it, and mean and variance of log p where asked for.
    /// </summary>
    internal static TokenScores ScoreTargets(CausalLM model, Tensor predicting, Tensor targets, bool distributions)
    {
        List<float> logProbabilities = [], means = [], variances = [];
        List<bool> hits = [];
        var rows = Math.Max(1, MemoryDemand.LogitsAtATime / model.Config.VocabularySize);
        for (long begin = 0; begin < targets.shape[0]; begin += rows)
        {
            using var scope = NewDisposeScope();
            var count = Math.Min(rows, targets.shape[0] - begin);
            var logits = model.Head(predicting.narrow(0, begin, count)).to(float32); // [n, V]
            var target = targets.narrow(0, begin, count); // [n]
            var partition = logits.logsumexp(1); // [n]
            logProbabilities.AddRange(Floats(logits.gather(1, target.unsqueeze(1)).squeeze(1) - partition));
            hits.AddRange(logits.argmax(1).eq(target).cpu().data<bool>().ToArray());
            if (!distributions) continue;
            var all = logits - partition.unsqueeze(1); // [n, V]
            var probabilities = all.exp();
            var mean = (probabilities * all).sum(1); // [n]
            means.AddRange(Floats(mean));
            variances.AddRange(Floats((probabilities * (all - mean.unsqueeze(1)).pow(2)).sum(1))); // about the mean, which loses no digits
        }

        return new TokenScores(Doubles(logProbabilities), [.. hits]) { Means = Doubles(means), Variances = Doubles(variances) };

        static float[] Floats(Tensor values) => values.cpu().data<float>().ToArray();
        static double[] Doubles(List<float> values) => [.. values.Select(value => (double)value)];
    }
}
