using Falcon.Engine;
using Falcon.Methods.Terms;
using Falcon.Models;
using Falcon.Runs.Configuration;
using static TorchSharp.torch;

namespace Falcon.Methods.Falcon;

/// <summary>
/// The gradients of the two losses for the trained parameters, each in the order of the parameters, in the dtype of the leaves.
/// </summary>
/// <param name="ForgetLoss">The weighted forget loss with its penalties.</param>
/// <param name="RetainLoss">The weighted retain loss.</param>
/// <param name="Forget">Gradients of the forget loss.</param>
/// <param name="Retain">Gradients of the retain loss.</param>
/// <param name="NormRatio">
/// Mean norm of the updated forget activations over that of the frozen ones; null where the method looks at no activations.
/// </param>
/// <param name="Drift">How far the retain activations have turned away, mean 1 - cos; null where the method does not measure it.</param>
/// <param name="Pushed">
/// Mean weight of the forget tokens under the bound, 1 at the start and 0 when all is forgotten; null without a bound.
/// </param>
public sealed record ObjectiveGradients(
    double ForgetLoss,
    double RetainLoss,
    IReadOnlyList<Tensor> Forget,
    IReadOnlyList<Tensor> Retain,
    double? NormRatio = null,
    double? Drift = null,
    double? Pushed = null
);

/// <summary>
/// The two losses of FALCON at the target layer (paper, section 4.2): the contrastive loss moves the forget activations onto the principal
/// offset vector, the retention loss keeps the retain activations where they were.
/// </summary>
/// <param name="passes">The forward passes.</param>
/// <param name="trained">The matrices in training.</param>
/// <param name="settings">Temperature, negatives, penalties.</param>
/// <param name="paddingRows">What left padding attends to; matters only where padding counts.</param>
/// <param name="plainPasses">Run two whole passes instead of sharing the prefix; for comparison.</param>
/// <param name="microBatchTokens">Padded tokens of a part of a batch, whose gradients are added up; 0 for whole batches.</param>
/// <param name="bound">Where forgetting ends; null for nowhere.</param>
public sealed class FalconObjective(
    LayerPasses passes,
    TrainedParameters trained,
    LossConfig settings,
    PaddingRows paddingRows = PaddingRows.Uniform,
    bool plainPasses = false,
    int microBatchTokens = 0,
    ForgetBound? bound = null
)
{
    private const int WholeModel = WeightNames.AboveLayers;

    /// <summary>
    /// One forward and one backward pass for each of the two batches, or for each of their parts. The gradients belong to the caller's
    /// scope.
    /// </summary>
    /// <param name="forget">Forget texts.</param>
    /// <param name="retain">Retain texts.</param>
    /// <param name="offset">The principal offset vector [H], or several of them [R, H], see <see cref="OffsetVectors.ForTexts"/>.</param>
    /// <param name="retainWeight">Weight of the retention loss for this topic.</param>
    /// <param name="generator">Draws in-batch negatives and noise; not used when there are none.</param>
    /// <param name="level">The answer loss at which a text counts as forgotten; null for no bound.</param>
    public ObjectiveGradients Gradients(
        TokenBatch forget,
        TokenBatch retain,
        Tensor offset,
        double retainWeight,
        Generator? generator = null,
        double? level = null
    )
    {
        using var scope = NewDisposeScope();
        double? pushed = null;
        var (forgetGradients, forgetLoss, ratio) = Accumulate(forget, passes.Target, part =>
        {
            var (loss, partRatio, partPushed) = ForgetLoss(part, offset, generator, level);
            if (partPushed is { } weight) pushed = (pushed ?? 0) + weight * part.CountedTokens / forget.CountedTokens;
            return (loss, partRatio);
        });
        if (settings.Sharpness > 0) forgetGradients = AtTheWorstPoint(forgetGradients, forget, offset, generator, level);
        var (retainGradients, retainLoss, _) = Accumulate(retain, WholeModel, part => (RetainLoss(part, retainWeight, generator), 0));
        return new ObjectiveGradients(
            forgetLoss,
            retainLoss,
            [.. forgetGradients.Select(gradient => gradient.MoveToOuterDisposeScope())],
            [.. retainGradients.Select(gradient => gradient.MoveToOuterDisposeScope())],
            ratio,
            Pushed: pushed
        );
    }

    // Sharpness-aware: the gradient at theta + rho |theta| g / |g|, the point of the ball where the forget loss is highest to first order,
    // thus where a relearner goes first.
    private List<Tensor> AtTheWorstPoint(
        IReadOnlyList<Tensor> gradients,
        TokenBatch forget,
        Tensor offset,
        Generator? generator,
        double? level
    )
    {
        using var scope = NewDisposeScope();
        double Norm(IEnumerable<Tensor> tensors) =>
            Math.Sqrt(tensors.Sum(tensor => tensor.detach().to(float32).square().sum().item<float>()));
        var norm = Norm(gradients);
        if (norm == 0) return [.. gradients.Select(gradient => gradient.clone().MoveToOuterDisposeScope())];
        var step = settings.Sharpness * Norm(trained.Leaves) / norm;
        var saved = trained.Leaves.Select(leaf => leaf.detach().clone()).ToList();
        try
        {
            using (no_grad())
                for (var i = 0; i < saved.Count; i++) trained.Leaves[i].add_(gradients[i].to(trained.Leaves[i].dtype), alpha: step);
            return [.. Accumulate(forget, passes.Target, part =>
            {
                var (loss, ratio, _) = ForgetLoss(part, offset, generator, level);
                return (loss, ratio);
            }).Gradients.Select(gradient => gradient.MoveToOuterDisposeScope())];
        }
        finally
        {
            using (no_grad())
                for (var i = 0; i < saved.Count; i++) trained.Leaves[i].copy_(saved[i]); // the very bits
        }
    }

    // The losses are means over counted tokens, so that of a batch is the mean of its parts' weighted by their tokens, and so is its
    // gradient (added up in float32).
    private (IReadOnlyList<Tensor> Gradients, double Loss, double NormRatio) Accumulate(
        TokenBatch batch,
        int through,
        Func<TokenBatch, (Tensor Loss, double NormRatio)> compute
    )
    {
        using var scope = NewDisposeScope();
        var parts = batch.Split(microBatchTokens);
        if (parts.Count == 1)
        {
            var (whole, wholeRatio) = compute(batch);
            var gradients = Differentiate(whole, through);
            return ([.. gradients.Select(gradient => gradient.MoveToOuterDisposeScope())], whole.item<float>(), wholeRatio);
        }

        List<Tensor> sums = [];
        double loss = 0, ratio = 0;
        foreach (var part in parts.Where(part => part.CountedTokens > 0))
        {
            using var inner = NewDisposeScope();
            var share = (double)part.CountedTokens / batch.CountedTokens;
            var (partLoss, partRatio) = compute(part);
            var gradients = Differentiate(partLoss, through);
            if (sums.Count == 0) sums.AddRange(gradients.Select(gradient => zeros_like(gradient, float32).MoveToOuterDisposeScope()));
            for (var i = 0; i < sums.Count; i++) sums[i].add_(gradients[i], alpha: share);
            loss += share * partLoss.item<float>();
            ratio += share * partRatio;
        }

        return ([.. sums.Select(sum => sum.MoveToOuterDisposeScope())], loss, ratio);
    }

    // Gradients of all leaves; those of layers above the given one, which the loss has not passed, are zero. The forget loss leaves the
    // embedding to the retain loss: its rows are shared by all texts.
    private List<Tensor> Differentiate(Tensor loss, int through)
    {
        var reached = trained
            .Names.Select(name => TrainedParameters.LayerOf(name) <= through && (through == WholeModel || !WeightNames.IsEmbedding(name)))
            .ToList();
        var found = new Queue<Tensor>(
            autograd.grad([loss], [.. trained.Leaves.Zip(reached).Where(pair => pair.Second).Select(pair => pair.First)])
        );
        return [.. trained.Leaves.Zip(reached, (leaf, isReached) => isReached ? found.Dequeue() : zeros_like(leaf.detach()))];
    }

    /// <summary>The logits of the contrastive loss [N, C] for a forget batch, for the curvature estimate.</summary>
    public Tensor ContrastiveLogits(TokenBatch forget, Tensor offset, Generator? generator = null)
    {
        using var scope = NewDisposeScope();
        var (updated, frozen) = Run(forget);
        return ContrastiveLoss
            .Logits(updated, Target(offset, forget), frozen, Mask(forget), settings.Temperature, settings.InBatchNegatives, generator)
            .MoveToOuterDisposeScope();
    }

    private (Tensor Loss, double NormRatio, double? Pushed) ForgetLoss(TokenBatch batch, Tensor offset, Generator? generator, double? level)
    {
        using var scope = NewDisposeScope();
        var mask = Mask(batch);
        var goal = Target(offset, batch);
        var (updated, frozen) = Run(batch);
        var weights = bound is not null && level is { } nats ? bound.Weights(updated, batch, mask, nats) : null;
        var loss = ContrastiveLoss.Compute(
            updated,
            goal,
            frozen,
            mask,
            settings.Temperature,
            settings.InBatchNegatives,
            generator,
            weights
        );
        List<Tensor> attacked = [.. UnderAdversaries(batch, goal, mask, generator, weights)];
        if (attacked.Count > 0) loss = (loss + stack(attacked).sum()) / (1 + attacked.Count);
        var ratios = TokenRows.Select(updated, mask).norm(1) / TokenRows.Select(frozen, mask).norm(1).clamp_min(1e-8); // [M]
        if (settings.NormPenalty > 0) loss = loss + settings.NormPenalty * (ratios - 1).square().mean();
        return (loss.MoveToOuterDisposeScope(), ratios.detach().mean().item<float>(), weights?.mean().item<float>());
    }

    /// <summary>
    /// The retain loss of the unchanged model without its weight, from which drift is counted: 0 but for
    /// <see cref="RetainLossKind.Tokens"/>.
    /// </summary>
    /// <param name="batches">Retain texts.</param>
    /// <param name="cancellation">Stops between parts of a batch.</param>
    public double UnchangedRetainLoss(IReadOnlyList<TokenBatch> batches, CancellationToken cancellation)
    {
        if (settings.Retain != RetainLossKind.Tokens || batches.Count == 0) return 0;
        return batches.Average(batch => batch.Split(microBatchTokens).Sum(part =>
        {
            cancellation.ThrowIfCancellationRequested();
            using var scope = NewDisposeScope();
            return passes.FrozenNextTokenLosses(part).sum().item<float>() / batch.CountedTokens;
        }));
    }

    // The forget loss where an attacker inside the model makes it high, one scalar for each kind of attacker.
    private IEnumerable<Tensor> UnderAdversaries(TokenBatch batch, Tensor goal, Tensor? mask, Generator? generator, Tensor? weights)
    {
        Tensor Loss((Tensor Updated, Tensor Frozen) states) =>
            ContrastiveLoss.Compute(states.Updated, goal, states.Frozen, mask, settings.Temperature, weights: weights);
        if (settings.LatentRadius > 0)
            yield return Loss(passes.Run(batch, paddingRows, LatentAdversary.Find(passes, batch, paddingRows, goal, mask, settings)));
        if (settings.PromptVectors > 0)
            yield return Loss(
                passes.RunBehind(
                    batch,
                    LatentAdversary.FindPrompt(
                        passes,
                        batch,
                        goal,
                        mask,
                        settings,
                        generator ?? throw new ArgumentNullException(nameof(generator), "The prompt of the adversary needs a generator.")
                    )
                )
            );
    }

    private Tensor RetainLoss(TokenBatch batch, double weight, Generator? generator)
    {
        using var scope = NewDisposeScope();
        if (settings.Retain == RetainLossKind.Outputs)
        {
            var (logits, before) = passes.RunToOutput(batch);
            return (weight * ReferenceLosses.KullbackLeibler(logits, before)).MoveToOuterDisposeScope();
        }

        if (settings.Retain == RetainLossKind.Tokens)
            return (weight * passes.NextTokenLosses(batch).sum() / batch.CountedTokens).MoveToOuterDisposeScope();

        var (updated, frozen) = Run(batch);
        if (settings.RetainNoise > 0)
            frozen = WithNoise(frozen, generator ?? throw new ArgumentNullException(nameof(generator), "Noise needs a generator."));
        var mask = Mask(batch);
        var loss = RetentionLoss.Compute(updated, frozen, mask, weight, official: settings.CountPadding);
        if (settings.RetainErrorWeight > 0)
        {
            var (u, f) = (TokenRows.Select(updated, mask), TokenRows.Select(frozen, mask));
            var error = (u - f).square().sum(1) / f.square().sum(1).clamp_min(1e-8); // [M], share of the squared norm
            loss = loss + weight * settings.RetainErrorWeight * error.mean();
        }

        return loss.MoveToOuterDisposeScope();
    }

    // Gaussian noise whose expected norm is the given share of the token's own. Drawn on the processor, so that a seed gives the same
    // numbers everywhere.
    private Tensor WithNoise(Tensor frozen, Generator generator)
    {
        using var guard = no_grad();
        using var scope = NewDisposeScope();
        var exact = frozen.to(float32);
        var noise = randn(frozen.shape, dtype: float32, generator: generator).to(frozen.device);
        return (
            exact + noise * exact.norm(-1, keepdim: true) * (settings.RetainNoise / Math.Sqrt(frozen.shape[^1]))
        ).MoveToOuterDisposeScope();
    }

    private static Tensor Target(Tensor offset, TokenBatch texts) => offset.dim() == 1 ? offset : OffsetVectors.ForTexts(offset, texts);

    private (Tensor Updated, Tensor Frozen) Run(TokenBatch batch) =>
        plainPasses ? passes.RunPlainly(batch, paddingRows) : passes.Run(batch, paddingRows);

    // null counts every position, padding included, as the published code does.
    private Tensor? Mask(TokenBatch batch) => settings.CountPadding ? null : batch.LossMask(trained.Leaves[0].device);
}
