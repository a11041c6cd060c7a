using Falcon.Models;
using Falcon.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Falcon.Evaluation;

/// <summary>
/// Log-probabilities of several continuations of each of many prompts. The tokens that the texts of a group have in common are computed
/// once, and every continuation attends to their cached keys and values: the numbers are those of <see cref="TokenLikelihoods"/> for less
/// work.
/// </summary>
internal static class SharedPrompts
{
    private const long CacheBytes = 256L << 20;
    private const int PromptTokensAtATime = 2048;

    /// <summary>
    /// Scores the texts of all groups, batch by batch; an interrupted evaluation continues from the examples that it has scored. Models
    /// whose prompts cannot be shared take every text by itself.
    /// </summary>
    /// <param name="loaded">The model.</param>
    /// <param name="groups">The texts after each prompt; no group is empty.</param>
    /// <param name="stage">Name of the stage in the log.</param>
    /// <param name="log">Where progress goes.</param>
    /// <param name="cancellation">Stops between batches.</param>
    /// <returns>The scores of each text, group by group.</returns>
    /// <exception cref="NumericalFailureException">A log-probability is not finite.</exception>
    public static TokenScores[][] ScoreAll(
        LoadedModel loaded,
        IReadOnlyList<IReadOnlyList<ScoredSequence>> groups,
        string stage,
        IRunLog log,
        CancellationToken cancellation
    )
    {
        var results = new TokenScores[groups.Count][];
        if (!Serves(loaded.Model))
        {
            var flat = loaded.Score([.. groups.SelectMany(group => group)], stage, log, cancellation);
            for (int i = 0, offset = 0; i < groups.Count; offset += groups[i++].Count)
                results[i] = flat[offset..(offset + groups[i].Count)];
            return results;
        }

        var done = 0;
        foreach (var batch in Batches(loaded.Model, groups))
        {
            cancellation.ThrowIfCancellationRequested();
            List<(int Group, ScoredSequence Text)> texts = [.. batch.SelectMany(i => groups[i].Select(one => (i, one)))];
            var keys = loaded.KeysOf(
                "shared prompts",
                [.. Enumerable.Range(0, texts.Count)],
                i => [texts[i].Group, texts[i].Text.Start, .. texts[i].Text.Tokens]
            );
            TokenScores[] scores;
            if (loaded.Log?.FindAll(keys) is { } found)
            {
                scores = [.. found.Select(example => example.Scores())];
            }
            else
            {
                scores = Score(loaded.Model, [.. batch.Select(i => groups[i])], loaded.PadId);
                LoadedModel.RequireFinite(stage, scores);
                loaded.Log?.Append(scores.Zip(keys, (score, key) => LoggedExample.Of(key, score, distributions: false)));
            }

            var offset = 0;
            foreach (var i in batch)
            {
                results[i] = scores[offset..(offset + groups[i].Count)];
                offset += groups[i].Count;
            }

            log.Progress(stage, done += batch.Length, groups.Count);
        }

        return results;
    }

    /// <summary>
    /// Whether a prompt's keys and values may be shared: not where the rotation of a key depends on the length of its text, and not for a
    /// model that is read layer by layer, which takes all texts through one layer after the other.
    /// </summary>
    public static bool Serves(CausalLM model) => !model.IsStreamed && !model.Config.RotationDependsOnLength;

    /// <summary>Number of first tokens that all texts of a group share and that are not scored.</summary>
    public static int SharedLength(IReadOnlyList<ScoredSequence> group)
    {
        var shared = group.Min(sequence => sequence.Start);
        foreach (var sequence in group)
            shared = Math.Min(shared, sequence.Tokens.AsSpan().CommonPrefixLength(group[0].Tokens));
        return shared;
    }

    /// <summary>Indices of the groups that are computed together, sorted by the length of what they share.</summary>
    /// <param name="model">The model, whose size bounds how many rows are cached.</param>
    /// <param name="groups">The groups, none empty.</param>
    public static List<int[]> Batches(CausalLM model, IReadOnlyList<IReadOnlyList<ScoredSequence>> groups)
    {
        var config = model.Config;
        var bytesPerToken = 2L * config.LayerCount * config.KeyValueHeadCount * config.HeadSize * model.DType.ElementSize();
        var lengths = groups.Select(SharedLength).ToArray();
        List<int[]> batches = [];
        List<int> batch = [];
        long cached = 0;
        foreach (var index in Enumerable.Range(0, groups.Count).OrderBy(i => lengths[i]).ThenBy(i => i))
        {
            var bytes = bytesPerToken * groups[index].Count * groups[index].Max(sequence => sequence.Tokens.Length);
            if (batch.Count > 0 && (cached + bytes > CacheBytes || (batch.Count + 1) * lengths[index] > PromptTokensAtATime))
            {
                batches.Add([.. batch]);
                batch.Clear();
                cached = 0;
            }

            batch.Add(index);
            cached += bytes;
        }

        if (batch.Count > 0) batches.Add([.. batch]);
        return batches;
    }

    /// <summary>Scores one batch of groups.</summary>
    /// <param name="model">A model that this <see cref="Serves"/>.</param>
    /// <param name="groups">The groups of the batch.</param>
    /// <param name="padId">Any valid id.</param>
    /// <returns>The scores of each text, group by group.</returns>
    public static TokenScores[] Score(CausalLM model, IReadOnlyList<IReadOnlyList<ScoredSequence>> groups, int padId)
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        using var cache = new KeyValueCache(model.Config.LayerCount);
        var shared = groups.Select(SharedLength).ToArray();
        var prompts = new TokenBatch([.. groups.Select((group, i) => group[0].Tokens[..shared[i]])], padId, PaddingSide.Left);
        var promptVisible = prompts.AttentionMask(model.Device); // [B, P]
        var positions = (promptVisible.to(int64).cumsum(1) - 1).clamp_min(0); // [B, P]
        var after = Run(model, prompts, positions, promptVisible, cache); // [B, P, H]
        var states = after.select(1, prompts.Length - 1); // [B, H]: what predicts the first token of each continuation

        List<(int Group, ScoredSequence Sequence)> all = [.. groups.SelectMany((group, i) => group.Select(one => (i, one)))];
        // The last token of a text is only predicted. A continuation of one token needs no pass of its own.
        List<int> longer = [.. Enumerable.Range(0, all.Count).Where(i => all[i].Sequence.Tokens.Length - 1 > shared[all[i].Group])];
        long tailLength = 0;
        if (longer.Count > 0)
        {
            var tails = new TokenBatch([.. longer.Select(i => all[i].Sequence.Tokens[shared[all[i].Group]..^1])], padId);
            var rows = tensor(longer.Select(i => (long)all[i].Group).ToArray(), int64, model.Device);
            cache.Select(rows);
            var visible = cat([promptVisible.index_select(0, rows), tails.AttentionMask(model.Device)], 1); // [R, P + T]
            var first = tensor(longer.Select(i => (long)shared[all[i].Group]).ToArray(), int64, model.Device).unsqueeze(1);
            var hidden = Run(model, tails, first + arange(tails.Length, int64, model.Device).unsqueeze(0), visible, cache); // [R, T, H]
            states = cat([states, hidden.reshape(-1, hidden.shape[2])], 0);
            tailLength = tails.Length;
        }

        List<long> predicting = [], targets = [];
        var row = 0;
        for (var i = 0; i < all.Count; i++)
        {
            var (group, sequence) = all[i];
            for (var t = sequence.Start; t < sequence.Tokens.Length; t++)
            {
                predicting.Add(t == shared[group] ? group : groups.Count + (row * tailLength) + t - 1 - shared[group]);
                targets.Add(sequence.Tokens[t]);
            }

            if (row < longer.Count && longer[row] == i) row++;
        }

        var scores = TokenLikelihoods.ScoreTargets(
            model,
            states.index_select(0, tensor(predicting.ToArray(), int64, model.Device)),
            tensor(targets.ToArray(), int64, model.Device),
            distributions: false
        );
        var results = new TokenScores[all.Count];
        for (int i = 0, offset = 0; i < all.Count; offset += all[i++].Sequence.ScoredCount)
        {
            var part = offset..(offset + all[i].Sequence.ScoredCount);
            results[i] = new TokenScores(scores.LogProbabilities[part], scores.Hits[part]);
        }

        return results;
    }

    private static Tensor Run(CausalLM model, TokenBatch tokens, Tensor positions, Tensor visible, KeyValueCache cache)
    {
        using var scope = NewDisposeScope();
        using var context = AttentionContext.Continued(model.Config, positions, visible, model.DType);
        var embedded = model.Embed(tokens.InputIds(model.Device), context.Positions);
        return model.Layers(embedded, 0, model.Config.LayerCount - 1, context, cache).MoveToOuterDisposeScope();
    }
}
