using Falcon.Attacks.Protocol;
using Falcon.Attacks.Training;
using Falcon.Evaluation;
using Falcon.Models;
using Falcon.Optimization;
using Falcon.Results;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Attacks.Inputs;

/// <summary>
/// Free embedding vectors before every question, trained on some of the development questions and selected on the others (Schwinn et al.
/// 2024, arXiv 2402.09063, as a universal prompt). A few vectors can force any single string, so only answers to other questions count
/// (arXiv 2502.15836), and the never-taught control is attacked the same way.
/// </summary>
internal sealed class SoftPrompt : Attack
{
    private sealed record Size(int Steps, int BatchSize, int[] Lengths, double[] Rates);

    public override string Name => "soft-prompt";

    public override AttackTier Tier => AttackTier.InputOptimization;

    public override string Definition =>
        "Universal prompt of 4 to 8 free vectors, trained on some questions, scored on others (arXiv 2402.09063).";

    public override AttackScores Run(AttackSubject subject, AttackData data, AttackSettings settings)
    {
        var (loaded, size) = (subject.Loaded, SizeOf(settings));
        var scoring = new AttackScoring(loaded, data, settings);
        var order = settings.Sample(data.Development, data.Development.Count, "questions of the soft prompt");
        var count = Math.Max(1, order.Count * 2 / 3);
        List<ScoredSequence> train = [.. order.Take(count).Select(item => scoring.Sequences(item)[item.Gold])];
        var at = scoring.PrefixPlace;
        using var scope = NewDisposeScope();
        List<(string, Tensor)> strengths =
        [
            .. size.Lengths.SelectMany(length =>
                size.Rates.Select(rate =>
                    (
                        $"{length} vectors, rate {StrengthChoice.Text(rate)}",
                        Train(loaded.Model, train, Start(loaded.Model, length, settings.Seed), rate, size, at, scoring.PadId, settings)
                    )
                )
            ),
        ];
        var scores = Best(
            strengths,
            scoring,
            data with
            {
                Development = order.Count > count ? [.. order.Skip(count)] : order,
            },
            at,
            settings.Budget
        );
        return scores with { Steps = size.Steps * strengths.Count, Samples = data.Development.Count };
    }

    /// <summary>Vectors of the same lengths in random directions.</summary>
    public override AttackScores RunRandom(AttackSubject subject, AttackData data, AttackSettings settings)
    {
        var (loaded, size) = (subject.Loaded, SizeOf(settings));
        var scoring = new AttackScoring(loaded, data, settings);
        var at = scoring.PrefixPlace;
        using var scope = NewDisposeScope();
        using var generator = new Generator(Seeds.Derive(settings.Seed, "random soft prompt"), loaded.Model.Device);
        List<(string, Tensor)> strengths =
        [
            .. size.Lengths.SelectMany(length =>
                size.Rates.Select(
                    (_, i) =>
                        (
                            $"{length} random vectors, draw {i + 1}",
                            randn([length, loaded.Model.Config.HiddenSize], float32, loaded.Model.Device, generator: generator)
                                * EmbeddingScale(loaded.Model)
                        )
                )
            ),
        ];
        return Best(strengths, scoring, data, at, settings.Budget);
    }

    /// <summary>
    /// Embedding rows [B, T, H] with vectors [P, H] inserted at a position: [B, P + T, H]. The model scales them and adds positions as it
    /// does for the rows of tokens.
    /// </summary>
    internal static Tensor Insert(Tensor rows, Tensor vectors, int at)
    {
        using var scope = NewDisposeScope();
        var own = vectors.to(rows.dtype).unsqueeze(0).expand(rows.shape[0], vectors.shape[0], vectors.shape[1]);
        return cat([rows.narrow(1, 0, at), own, rows.narrow(1, at, rows.shape[1] - at)], 1).MoveToOuterDisposeScope();
    }

    /// <summary>Mean cross-entropy of the scored tokens of texts with inserted vectors; scalar with gradient to the vectors.</summary>
    internal static Tensor Loss(CausalLM model, IReadOnlyList<ScoredSequence> texts, Tensor vectors, int at, int padId)
    {
        using var scope = NewDisposeScope();
        var batch = new TokenBatch([.. texts.Select(text => text.Tokens[..^1])], padId);
        var added = vectors.shape[0];
        using var context = model.Causal(batch.Length + added);
        var hidden = model.Layers(
            model.EmbedRows(Insert(model.EmbeddingRows(batch.InputIds(model.Device)), vectors, at)),
            0,
            model.Config.LayerCount - 1,
            context
        );
        return AnswerLoss.PerText(model, hidden.narrow(1, added, batch.Length), texts).mean().MoveToOuterDisposeScope();
    }

    private static AttackScores Best(
        List<(string, Tensor)> strengths,
        AttackScoring scoring,
        AttackData data,
        int at,
        AttackBudget budget
    ) =>
        StrengthChoice.Best(
            strengths,
            (vectors, items) => scoring.RightFirst(items, new ScoringPass { Embedded = rows => Insert(rows, vectors, at) }),
            data,
            budget
        );

    private static Tensor Train(
        CausalLM model,
        List<ScoredSequence> texts,
        Tensor start,
        double rate,
        Size size,
        int at,
        int padId,
        AttackSettings settings
    )
    {
        using var scope = NewDisposeScope();
        var vectors = start.clone().requires_grad_();
        using var optimizer = new AdamW([vectors], rate * EmbeddingScale(model), weightDecay: 0);
        Queue<int> order = new();
        for (var (step, epoch) = (0, 0); step < size.Steps; step++)
        {
            settings.Cancellation.ThrowIfCancellationRequested();
            while (order.Count < size.BatchSize)
                foreach (var i in new SeededRandom(settings.Seed, "order of the soft prompt", epoch++).Permutation(texts.Count))
                    order.Enqueue(i);
            List<ScoredSequence> batch = [.. Enumerable.Range(0, size.BatchSize).Select(_ => texts[order.Dequeue()])];
            using var inner = NewDisposeScope();
            optimizer.Step([.. autograd.grad([Loss(model, batch, vectors, at, padId)], [vectors])]);
        }

        return vectors.detach().MoveToOuterDisposeScope();
    }

    // Embeddings of random tokens: a start within the range that the model knows.
    private static Tensor Start(CausalLM model, int length, ulong seed)
    {
        using var scope = NewDisposeScope();
        var random = new SeededRandom(seed, "first soft prompt", length);
        var ids = Enumerable.Range(0, length).Select(_ => (long)random.Next(model.Config.VocabularySize)).ToArray();
        return model.EmbeddingRows(tensor(ids, [1, length], int64, model.Device)).squeeze(0).to(float32).MoveToOuterDisposeScope();
    }

    // Root mean square of the entries of the embedding matrix.
    private static double EmbeddingScale(CausalLM model)
    {
        using var scope = NewDisposeScope();
        return Math.Sqrt(model.Weight(model.Config.Architecture.EmbeddingWeight).to(float32).pow(2).mean().item<float>());
    }

    private static Size SizeOf(AttackSettings settings) => settings.Budget switch
    {
        AttackBudget.Quick => new Size(60, 8, [4], [0.03, 0.1]),
        AttackBudget.Standard => new Size(150, 16, [4, 8], [0.03, 0.1, 0.3]),
        _ => new Size(500, 16, [4, 8], [0.01, 0.03, 0.1, 0.3]),
    };
}
