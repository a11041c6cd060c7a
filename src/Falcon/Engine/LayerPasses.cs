using Falcon.Models;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Engine;

/// <summary>
/// The forward passes that the losses need: the residual stream at the target layer, from the frozen and from the updated weights. Nothing
/// above the target runs, and everything before the lowest trained matrix runs once for both (docs/engine.md).
/// </summary>
/// <param name="frozen">The unchanged model.</param>
/// <param name="trained">The matrices in training.</param>
/// <param name="target">The layer whose output enters the losses.</param>
/// <param name="cache">The frozen model's activations, computed beforehand; null computes them in every step. Borrowed.</param>
public sealed class LayerPasses(CausalLM frozen, TrainedParameters trained, int target, ActivationCache? cache = null)
{
    private readonly bool _embedding = trained.LowestLayer == WeightNames.BelowLayers; // then the two models share nothing
    private readonly int _lowest = Math.Max(0, trained.LowestLayer);

    // The prefix may end inside the lowest layer only while the rest of that layer is the same in both models.
    private readonly bool _startsAtDownProjection = trained.StartsAtDownProjection;

    /// <summary>The layer whose output enters the losses.</summary>
    public int Target { get; } = target;

    /// <summary>The model whose outputs training preserves; null for the frozen one. Borrowed.</summary>
    public CausalLM? Teacher { get; init; }

    /// <summary>Width of the residual stream (H).</summary>
    public int HiddenSize => frozen.Config.HiddenSize;

    /// <summary>Where the passes run.</summary>
    public Device Device => frozen.Device;

    /// <summary>
    /// Hidden states at the target layer: those of the updated model, with gradient, and those of the frozen model, without; both
    /// [B, T, H].
    /// </summary>
    /// <param name="batch">The texts.</param>
    /// <param name="paddingRows">What left padding attends to.</param>
    public (Tensor Updated, Tensor Frozen) Run(TokenBatch batch, PaddingRows paddingRows = PaddingRows.Uniform)
    {
        using var scope = NewDisposeScope();
        using var context = batch.Context(frozen, paddingRows);
        var model = Updated();
        var (start, inner, reference) = cache?.Read(batch) ?? Prefix(batch, context);
        start = Own(model, start, batch, context);
        var updated = Suffix(model, start, inner, context);
        return (updated.MoveToOuterDisposeScope(), reference.MoveToOuterDisposeScope());
    }

    /// <summary>
    /// Hidden states at the target layer: those of the updated model with a soft prompt before every text, with gradient, and those of the
    /// frozen model without the prompt and without gradient; both [B, T, H].
    /// </summary>
    /// <param name="batch">The texts, padded on the right.</param>
    /// <param name="prompt">
    /// Vectors [P, H] before every text where it enters the lowest trained layer, relative to the mean norm of the texts' tokens there.
    /// </param>
    /// <exception cref="UserInputException">
    /// The lowest trained layer trains only its down projection. A prompt acts only through what comes before that.
    /// </exception>
    public (Tensor Updated, Tensor Frozen) RunBehind(TokenBatch batch, Tensor prompt)
    {
        using var scope = NewDisposeScope();
        using var context = batch.Context(frozen);
        var model = Updated();
        var (start, inner, reference) = cache?.Read(batch) ?? Prefix(batch, context);
        start = Own(model, start, batch, context);
        if (inner is not null)
            throw new UserInputException(
                "objective.forget.promptAdversary: the lowest trained layer trains only its down projection, which no prompt reaches; set "
                    + "layers.parameters to all."
            );
        var added = prompt.shape[0];
        using var longer = frozen.Causal(batch.Length + (int)added, [.. batch.Sequences.Select(sequence => sequence.Length + added)]);
        var vectors = (prompt * MeanNorm(start, batch)).to(start.dtype).unsqueeze(0).expand(batch.Rows, added, HiddenSize);
        var updated = Suffix(model, cat([vectors, start], 1), null, longer).narrow(1, added, batch.Length);
        return (updated.MoveToOuterDisposeScope(), reference.MoveToOuterDisposeScope());
    }

    /// <summary>
    /// Logits of the updated model, with gradient, and of the frozen model or the <see cref="Teacher"/>, without; both [M, V]. There is one
    /// row for every token, including the last of a text, since another text may follow it. All layers run.
    /// </summary>
    /// <param name="batch">The texts, padded on the right.</param>
    public (Tensor Updated, Tensor Frozen) RunToOutput(TokenBatch batch)
    {
        using var scope = NewDisposeScope();
        using var context = batch.Context(frozen);
        var (start, inner) = Start(batch, context);
        var rows = batch.AttentionMask(Device).reshape(-1).nonzero().reshape(-1); // [M]
        Tensor Logits(CausalLM model, Tensor states, int from, AttentionContext seen)
        {
            using var inside = NewDisposeScope();
            var top = model.Layers(states, from, model.Config.LayerCount - 1, seen);
            return model.Head(top.reshape(-1, top.shape[^1]).index_select(0, rows)).MoveToOuterDisposeScope();
        }

        Tensor kept;
        using (no_grad())
        {
            if (Teacher is { } teacher)
            {
                using var theirs = batch.Context(teacher); // a context belongs to the model it was made for
                kept = Logits(teacher, teacher.Embed(batch.InputIds(teacher.Device), theirs.Positions), 0, theirs);
            }
            else kept = Logits(frozen, Suffix(frozen, start, inner, context), Target + 1, context);
        }

        var updated = Updated();
        return (
            Logits(updated, Suffix(updated, Own(updated, start, batch, context), inner, context), Target + 1, context)
                .MoveToOuterDisposeScope(),
            kept.MoveToOuterDisposeScope()
        );
    }

    /// <summary>
    /// Next-token cross-entropy of the updated model, with gradient: -log p of every token except each text's first; [M - B] float32 for M
    /// tokens in B texts. All layers run.
    /// </summary>
    /// <param name="batch">The texts, padded on the right.</param>
    public Tensor NextTokenLosses(TokenBatch batch) => NextTokenLosses(Updated(), batch);

    /// <summary>The same of the frozen model, without gradient.</summary>
    /// <param name="batch">The texts, padded on the right.</param>
    public Tensor FrozenNextTokenLosses(TokenBatch batch)
    {
        using var noGrad = no_grad();
        return NextTokenLosses(frozen, batch);
    }

    private Tensor NextTokenLosses(CausalLM model, TokenBatch batch)
    {
        using var scope = NewDisposeScope();
        using var context = batch.Context(model);
        var ids = batch.InputIds(Device);
        var (start, inner) = Start(batch, context);
        var states = model.Layers(
            Suffix(model, Own(model, start, batch, context), inner, context),
            Target + 1,
            model.Config.LayerCount - 1,
            context
        );
        var next = batch.AttentionMask(Device).narrow(1, 1, batch.Length - 1).reshape(-1).nonzero().reshape(-1); // [M - B]
        var predicting = states.narrow(1, 0, batch.Length - 1).reshape(-1, states.shape[^1]).index_select(0, next);
        var labels = ids.narrow(1, 1, batch.Length - 1).reshape(-1).index_select(0, next);
        return nn
            .functional.cross_entropy(model.Head(predicting).to(float32), labels, reduction: nn.Reduction.None)
            .MoveToOuterDisposeScope();
    }

    /// <summary>
    /// Hidden states [count, H] of random tokens of a batch before the lowest trained matrix, divided by the mean norm over the batch.
    /// </summary>
    /// <param name="batch">The texts.</param>
    /// <param name="count">How many.</param>
    /// <param name="generator">Draws them.</param>
    public Tensor RandomStates(TokenBatch batch, int count, Generator generator)
    {
        using var guard = no_grad();
        using var scope = NewDisposeScope();
        using var context = batch.Context(frozen);
        var (start, _, _) = cache?.Read(batch) ?? Prefix(batch, context);
        start = Own(Updated(), start, batch, context);
        var rows = TokenRows.Select(start, batch.IsPadded ? batch.AttentionMask(Device) : null);
        var chosen = randint(0, rows.shape[0], [count], dtype: int64, generator: generator).to(rows.device);
        return (rows.index_select(0, chosen) / MeanNorm(start, batch)).MoveToOuterDisposeScope();
    }

    private Tensor MeanNorm(Tensor start, TokenBatch batch) =>
        TokenRows.Select(start, batch.IsPadded ? batch.AttentionMask(Device) : null).norm(1).mean();

    private (Tensor Start, Tensor? Inner, Tensor Frozen) Prefix(TokenBatch batch, AttentionContext context)
    {
        using var noGrad = no_grad();
        var (start, inner) = Start(batch, context);
        return (start, inner, Suffix(frozen, start, inner, context));
    }

    // Where the embedding is trained each model has its own states from the start on, the updated one with gradient.
    private Tensor Own(CausalLM model, Tensor start, TokenBatch batch, AttentionContext context) =>
        _embedding ? model.Embed(batch.InputIds(Device), context.Positions) : start;

    // What lies before the lowest trained matrix, the same in both models; no gradient.
    private (Tensor Start, Tensor? Inner) Start(TokenBatch batch, AttentionContext context)
    {
        using var noGrad = no_grad();
        var start = frozen.Layers(frozen.Embed(batch.InputIds(frozen.Device), context.Positions), 0, _lowest - 1, context);
        return _startsAtDownProjection ? frozen.BeforeDownProjection(_lowest, start, context) : (start, null);
    }

    /// <summary>The same by two whole passes from the embedding, for comparison with <see cref="Run"/>.</summary>
    public (Tensor Updated, Tensor Frozen) RunPlainly(TokenBatch batch, PaddingRows paddingRows = PaddingRows.Uniform)
    {
        using var scope = NewDisposeScope();
        using var context = batch.Context(frozen, paddingRows);
        var ids = batch.InputIds(frozen.Device);
        Tensor reference;
        using (no_grad()) reference = frozen.HiddenStates(ids, Target, context);
        return (Updated().HiddenStates(ids, Target, context).MoveToOuterDisposeScope(), reference.MoveToOuterDisposeScope());
    }

    private CausalLM Updated() => trained.Updated(frozen);

    private Tensor Suffix(CausalLM model, Tensor start, Tensor? inner, AttentionContext context)
    {
        using var scope = NewDisposeScope();
        if (inner is null) return model.Layers(start, _lowest, Target, context).MoveToOuterDisposeScope();
        var afterLowest = model.DownProjection(_lowest, start, inner);
        return model.Layers(afterLowest, _lowest + 1, Target, context).MoveToOuterDisposeScope();
    }
}
