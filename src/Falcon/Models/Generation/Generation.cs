using Falcon.Models.Families;
using static TorchSharp.torch;

namespace Falcon.Models.Generation;

/// <summary>How a prompt is continued.</summary>
/// <param name="MaxNewTokens">Most new tokens.</param>
/// <param name="Temperature">0 picks the most likely token; above 0 samples from softmax(logits / temperature).</param>
/// <param name="Seed">Seed of the sampling.</param>
/// <param name="BatchSize">Prompts in one batch.</param>
public sealed record GenerationSettings(int MaxNewTokens = 128, double Temperature = 0, long Seed = 0, int BatchSize = 64);

/// <summary>
/// Continues prompts token by token with cached keys and values, in left-padded batches whose positions count from the first real token.
/// </summary>
public static class Generation
{
    /// <summary>Continues every prompt up to a stop token, which is not part of the result, or up to the limit.</summary>
    /// <param name="model">The whole model.</param>
    /// <param name="prompts">Token ids; none empty.</param>
    /// <param name="settings">Limits and sampling.</param>
    /// <param name="stopIds">Ids that end a sequence.</param>
    /// <param name="padId">Padding id.</param>
    /// <param name="progress">Called with the number of finished prompts.</param>
    /// <param name="cancellation">Stops between tokens.</param>
    /// <returns>The new tokens of each prompt, in the prompts' order.</returns>
    public static int[][] Continue(
        CausalLM model,
        IReadOnlyList<int[]> prompts,
        GenerationSettings settings,
        IReadOnlyCollection<int> stopIds,
        int padId,
        Action<int>? progress = null,
        CancellationToken cancellation = default
    )
    {
        var results = new int[prompts.Count][];
        using var generator = new Generator((ulong)settings.Seed, model.Device);
        // Prompts of similar length share a batch, so that little is padded.
        var order = Enumerable.Range(0, prompts.Count).OrderBy(i => prompts[i].Length).ThenBy(i => i).ToArray();
        var done = 0;
        foreach (var chunk in order.Chunk(settings.BatchSize))
        {
            var batch = ContinueBatch(model, [.. chunk.Select(i => prompts[i])], settings, stopIds, padId, generator, cancellation);
            for (var row = 0; row < chunk.Length; row++) results[chunk[row]] = batch[row];
            progress?.Invoke(done += chunk.Length);
        }

        return results;
    }

    private static int[][] ContinueBatch(
        CausalLM model,
        IReadOnlyList<int[]> prompts,
        GenerationSettings settings,
        IReadOnlyCollection<int> stopIds,
        int padId,
        Generator generator,
        CancellationToken cancellation
    )
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        using var cache = new KeyValueCache(model.Config.LayerCount);
        var batch = new TokenBatch(prompts, padId, PaddingSide.Left);
        var visible = batch.AttentionMask(model.Device); // [B, K]
        var positions = Positions(visible); // [B, T]
        var inputs = batch.InputIds(model.Device);
        var history = model.Config.RotationDependsOnLength ? inputs : null; // all tokens so far [B, K]
        var next = positions.narrow(1, batch.Length - 1, 1); // [B, 1]
        var results = prompts.Select(_ => new List<int>()).ToArray();
        var alive = Enumerable.Range(0, prompts.Count).ToArray();
        for (var produced = 0; produced < settings.MaxNewTokens && alive.Length > 0; produced++)
        {
            cancellation.ThrowIfCancellationRequested();
            using var step = NewDisposeScope();
            var chosen = Choose(LastLogits(model, inputs, positions, visible, cache), settings.Temperature, generator); // [B]
            var tokens = chosen.cpu().data<long>().ToArray();
            List<long> kept = [];
            for (var row = 0; row < tokens.Length; row++)
            {
                if (stopIds.Contains((int)tokens[row])) continue;
                results[alive[row]].Add((int)tokens[row]);
                kept.Add(row);
            }

            if (kept.Count < tokens.Length)
            {
                alive = [.. kept.Select(row => alive[row])];
                if (alive.Length == 0) break;
                var rows = tensor(kept.ToArray(), int64, model.Device);
                cache.Select(rows);
                (visible, next, chosen) = (visible.index_select(0, rows), next.index_select(0, rows), chosen.index_select(0, rows));
                history = history?.index_select(0, rows);
            }

            visible = cat([visible, ones([visible.shape[0], 1], @bool, model.Device)], 1).MoveToOuterDisposeScope();
            positions = next = (next + 1).MoveToOuterDisposeScope();
            inputs = chosen.unsqueeze(1).MoveToOuterDisposeScope();
            if (history is null) continue;
            history = cat([history, inputs], 1).MoveToOuterDisposeScope();
            if (!RotationChanges(model.Config, visible)) continue;
            cache.Clear();
            (inputs, positions) = (history, Positions(visible).MoveToOuterDisposeScope());
        }

        return [.. results.Select(tokens => tokens.ToArray())];
    }

    private static Tensor Positions(Tensor visible)
    {
        using var scope = NewDisposeScope();
        return (visible.to(int64).cumsum(1) - 1).clamp_min(0).MoveToOuterDisposeScope();
    }

    // Whether the newest token makes a text so long that the rotation of all its keys changes, which makes the cached keys invalid.
    private static bool RotationChanges(ModelConfig config, Tensor visible)
    {
        using var scope = NewDisposeScope();
        var lengths = visible.sum(1).cpu().data<long>().ToArray();
        return config.Ropes.Any(rope => rope is not null && lengths.Any(length => rope.Regime(length) != rope.Regime(length - 1)));
    }

    private static Tensor LastLogits(CausalLM model, Tensor inputs, Tensor positions, Tensor visible, KeyValueCache cache)
    {
        using var scope = NewDisposeScope();
        using var context = AttentionContext.Continued(model.Config, positions, visible, model.DType);
        var hidden = model.Layers(model.Embed(inputs, context.Positions), 0, model.Config.LayerCount - 1, context, cache);
        return model.Head(hidden.narrow(1, hidden.shape[1] - 1, 1)).squeeze(1).to(float32).MoveToOuterDisposeScope(); // [B, V]
    }

    private static Tensor Choose(Tensor logits, double temperature, Generator generator)
    {
        using var scope = NewDisposeScope();
        if (temperature <= 0) return logits.argmax(-1).MoveToOuterDisposeScope();
        var probabilities = nn.functional.softmax(logits / temperature, -1);
        return multinomial(probabilities, 1, false, generator).squeeze(1).MoveToOuterDisposeScope();
    }
}
