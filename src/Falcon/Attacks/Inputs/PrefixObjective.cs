using Falcon.Attacks.Training;
using Falcon.Evaluation;
using Falcon.Models;
using static TorchSharp.torch;

namespace Falcon.Attacks.Inputs;

/// <summary>
/// The loss of a universal prefix, mean over questions, each with the prefix before its own tokens: L = force + w_r representation
/// + w_f fluency + w_n repetition. Force: mean cross-entropy of the tokens of the wanted answer. Representation: mean distance |h - h_o|
/// between the residual streams of the attacked model and of the original before one layer, both on the same tokens. Fluency: mean
/// cross-entropy of the prefix's own tokens. Repetition: sum over tokens of max(count - 1, 0)^1.5 / length, which has no gradient. With
/// force alone this is GCG (Zou et al. 2023, arXiv 2307.15043); with all terms the enhanced form (Thompson and Sklar 2024, arXiv
/// 2407.17447; Lucki et al. 2024, arXiv 2409.18025), whose fluency term also counts the fixed question, which no prefix changes much.
/// </summary>
/// <param name="model">The attacked model.</param>
/// <param name="items">Questions with the wanted answers, without prefix.</param>
/// <param name="padId">Padding id.</param>
/// <param name="place">Where the prefix stands: the number of tokens before it, the same in every question.</param>
internal sealed class PrefixObjective(CausalLM model, IReadOnlyList<ScoredSequence> items, int padId, int place)
{
    private const int TokensAtATime = 8192;

    /// <summary>The original model; null for no representation term.</summary>
    public CausalLM? Original { get; init; }

    /// <summary>The layer before which states are compared.</summary>
    public int RepresentationLayer { get; init; }

    /// <summary>w_r.</summary>
    public double RepresentationWeight { get; init; }

    /// <summary>w_f.</summary>
    public double FluencyWeight { get; init; }

    /// <summary>w_n.</summary>
    public double RepetitionWeight { get; init; }

    /// <summary>L of prefixes of any lengths, in batched forward passes.</summary>
    public double[] Losses(IReadOnlyList<int[]> prefixes)
    {
        using var guard = no_grad();
        var results = new double[prefixes.Count];
        foreach (var group in Enumerable.Range(0, prefixes.Count).GroupBy(i => prefixes[i].Length))
        {
            var longest = group.Key + items.Max(item => item.Tokens.Length);
            foreach (var part in group.Chunk(Math.Max(1, TokensAtATime / (longest * items.Count))))
            {
                using var scope = NewDisposeScope();
                var choices = stack(part.Select(i => OneHot(prefixes[i]))); // [C, P, V]
                var losses = Loss([.. part.Select(i => prefixes[i])], choices).cpu().data<float>().ToArray();
                for (var i = 0; i < part.Length; i++) results[part[i]] = losses[i] + RepetitionWeight * Repetition(prefixes[part[i]]);
            }
        }

        return results;
    }

    /// <summary>dL/dx [P, V] at the prefix, where x are its tokens as one-hot rows.</summary>
    public Tensor Gradient(int[] prefix)
    {
        using var scope = NewDisposeScope();
        var choice = OneHot(prefix).requires_grad_();
        return autograd.grad([Loss([prefix], choice.unsqueeze(0)).sum()], [choice])[0].MoveToOuterDisposeScope();
    }

    /// <summary>For every position the allowed tokens with the most negative gradient, best first.</summary>
    /// <param name="prefix">The prefix.</param>
    /// <param name="count">Number of tokens for each position.</param>
    /// <param name="allowed">Ids that a prefix may hold.</param>
    public int[][] Promising(int[] prefix, int count, IReadOnlyList<int> allowed)
    {
        using var scope = NewDisposeScope();
        var ids = tensor(allowed.Select(id => (long)id).ToArray(), int64, model.Device);
        var best = ids.index_select(
                0,
                Gradient(prefix).index_select(1, ids).topk(Math.Min(count, allowed.Count), 1, largest: false).indexes.reshape(-1)
            )
            .cpu()
            .data<long>()
            .ToArray();
        return [.. best.Chunk(best.Length / prefix.Length).Select(row => row.Select(id => (int)id).ToArray())];
    }

    /// <summary>Allowed tokens drawn without replacement from the model's own next-token distribution after a beginning.</summary>
    public int[] Proposals(IReadOnlyList<int> beginning, int count, IReadOnlyList<int> allowed, Generator generator)
    {
        using var guard = no_grad();
        using var scope = NewDisposeScope();
        int[] tokens = [.. items[0].Tokens[..place], .. beginning];
        if (tokens.Length == 0) tokens = [padId];
        using var context = model.Causal(tokens.Length);
        var logits = model
            .Logits(tensor(tokens.Select(id => (long)id).ToArray(), [1, tokens.Length], int64, model.Device), context)[0, -1]
            .to(float32);
        var chances = nn.functional.softmax(
            logits.index_select(0, tensor(allowed.Select(id => (long)id).ToArray(), int64, model.Device)),
            -1
        );
        return
        [
            .. multinomial(chances + 1e-9, Math.Min(count, allowed.Count), false, generator)
                .cpu()
                .data<long>()
                .ToArray()
                .Select(i => allowed[(int)i]),
        ];
    }

    /// <summary>Sum over tokens of max(count - 1, 0)^1.5, over the length.</summary>
    public static double Repetition(int[] prefix) => prefix.CountBy(id => id).Sum(token => Math.Pow(token.Value - 1, 1.5)) / prefix.Length;

    // The prefixes' ids give the rows their form, the choices [C, P, V] their values and gradient. Float32 [C].
    private Tensor Loss(IReadOnlyList<int[]> prefixes, Tensor choices)
    {
        using var scope = NewDisposeScope();
        var at = place;
        List<ScoredSequence> rows =
        [
            .. prefixes.SelectMany(prefix =>
                items.Select(item => new ScoredSequence(
                    [.. item.Tokens[..at], .. prefix, .. item.Tokens[at..]],
                    item.Start + prefix.Length
                ))
            ),
        ];
        var batch = new TokenBatch([.. rows.Select(row => row.Tokens[..^1])], padId); // [C * items, T]
        using var context = model.Causal(batch.Length);
        var ids = batch.InputIds(model.Device);
        var before = model.Layers(Embed(model, ids, choices), 0, RepresentationLayer - 1, context);
        var hidden = model.Layers(before, RepresentationLayer, model.Config.LayerCount - 1, context);
        var loss = AnswerLoss.PerText(model, hidden, rows);
        if (Original is { } original && RepresentationWeight > 0)
        {
            using var theirContext = original.Causal(batch.Length); // a context belongs to the model it was made for
            var theirs = original.Layers(Embed(original, ids, choices), 0, RepresentationLayer - 1, theirContext);
            var real = batch.AttentionMask(model.Device).to(float32);
            var distances = (before.to(float32) - theirs.to(float32)).pow(2).sum(-1).add(1e-12).sqrt(); // [B, T]
            loss = loss + RepresentationWeight * (distances * real).sum(1) / real.sum(1);
        }

        if (FluencyWeight > 0) loss = loss + FluencyWeight * Fluency(hidden, choices);
        return loss.view(prefixes.Count, items.Count).mean([1L]).MoveToOuterDisposeScope();
    }

    // Prefix tokens that have a token before them; [B].
    private Tensor Fluency(Tensor hidden, Tensor choices)
    {
        using var scope = NewDisposeScope();
        var (count, length) = (choices.shape[0], choices.shape[1]);
        var skipped = place == 0 ? 1 : 0;
        if (length == skipped) return zeros([hidden.shape[0]], float32, hidden.device).MoveToOuterDisposeScope();
        var logits = model.Head(hidden.narrow(1, place - 1 + skipped, length - skipped)).to(float32); // [B, P', V]
        var chosen = choices
            .narrow(1, skipped, length - skipped)
            .unsqueeze(1)
            .expand(count, items.Count, length - skipped, choices.shape[2])
            .reshape(logits.shape);
        return (nn.functional.log_softmax(logits, -1) * chosen).sum(-1).mean([1L]).neg().MoveToOuterDisposeScope();
    }

    // The embeddings of the ids, with those of the prefix computed from the choices, so that these get a gradient.
    private Tensor Embed(CausalLM of, Tensor ids, Tensor choices)
    {
        using var scope = NewDisposeScope();
        var embedding = of.Weight(of.Config.Architecture.EmbeddingWeight); // [V, H]
        var rows = of.EmbeddingRows(ids); // [B, T, H]
        var vectors = choices.to(of.DType).matmul(embedding).repeat_interleave(items.Count, 0); // [B, P, H]
        var (at, length) = (place, choices.shape[1]);
        return of.EmbedRows(cat([rows.narrow(1, 0, at), vectors, rows.narrow(1, at + length, rows.shape[1] - at - length)], 1))
            .MoveToOuterDisposeScope();
    }

    private Tensor OneHot(int[] prefix)
    {
        using var scope = NewDisposeScope();
        var rows = zeros([prefix.Length, model.Config.VocabularySize], float32, model.Device);
        return rows.scatter_(
                1,
                tensor(prefix.Select(id => (long)id).ToArray(), [prefix.Length, 1], int64, model.Device),
                ones([prefix.Length, 1], float32, model.Device)
            )
            .MoveToOuterDisposeScope();
    }
}
