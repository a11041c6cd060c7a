using Falcon.Engine;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Methods.Falcon;

/// <summary>
/// The forget loss: InfoNCE that pulls the updated hidden states towards the principal offset vector and away from the frozen ones.
/// Source: FALCON, step 2.1 (contrastive representation unlearning).
/// </summary>
public static class ContrastiveLoss
{
    /// <summary>Temperature tau of the published runs.</summary>
    public const double DefaultTemperature = 0.7;

    private const double NormEpsilon = 1e-12;

    /// <summary>
    /// Mean over tokens of -log( exp(cos(a,p)/tau) / (exp(cos(a,p)/tau) + sum_z exp(cos(a,n_z)/tau)) ), computed in float32.
    /// With the default of no in-batch negatives the only negative of a token is its own frozen state, as in the published code.
    /// </summary>
    /// <param name="anchor">Updated hidden states [B, T, D], any floating type.</param>
    /// <param name="positive">Principal offset vector [D], or anything that broadcasts to [B, T, D]; its length has no effect.</param>
    /// <param name="frozen">Hidden states of the unchanged model [B, T, D].</param>
    /// <param name="mask">
    /// True at positions that count, [B, T]; null counts every position, padding included, as the published code does.
    /// </param>
    /// <param name="temperature">tau, above 0.</param>
    /// <param name="inBatchNegatives">
    /// Extension, not in the paper's code: so many frozen states of other counted tokens of the batch serve as further negatives of each
    /// token; as many as there are, or more, takes all of them.
    /// </param>
    /// <param name="generator">Draws the further negatives; required when they are a proper part of the others.</param>
    /// <param name="weights">
    /// A weight for each counted token [M], see <see cref="ForgetBound"/>: the mean is then of weight times loss; null for 1.
    /// </param>
    /// <returns>A float32 scalar that carries a gradient to <paramref name="anchor"/>.</returns>
    /// <exception cref="ArgumentException">Shapes disagree, the temperature is not positive, or a generator is missing.</exception>
    /// <exception cref="NumericalFailureException">The mask counts no position.</exception>
    public static Tensor Compute(Tensor anchor, Tensor positive, Tensor frozen, Tensor? mask = null,
        double temperature = DefaultTemperature, int inBatchNegatives = 0, Generator? generator = null, Tensor? weights = null)
    {
        using var scope = NewDisposeScope();
        var logits = Logits(anchor, positive, frozen, mask, temperature, inBatchNegatives, generator); // [M, C]
        var losses = nn.functional.log_softmax(logits, dim: 1).select(1, 0).neg(); // [M]
        return (weights is null ? losses : losses * weights).mean().MoveToOuterDisposeScope();
    }

    /// <summary>
    /// The InfoNCE logits, cosine over temperature: column 0 is the positive, column 1 the token's own frozen state, then the further
    /// negatives. They are a softmax classification with the true class 0, so labels can be sampled from them for a curvature estimate.
    /// </summary>
    /// <inheritdoc cref="Compute" path="/param[not(@name='weights')]"/>
    /// <returns>Float32 logits [M, C]: M counted tokens, C = 2 + further negatives.</returns>
    /// <exception cref="ArgumentException">Shapes disagree, the temperature is not positive, or a generator is missing.</exception>
    /// <exception cref="NumericalFailureException">The mask counts no position.</exception>
    public static Tensor Logits(Tensor anchor, Tensor positive, Tensor frozen, Tensor? mask = null,
        double temperature = DefaultTemperature, int inBatchNegatives = 0, Generator? generator = null)
    {
        if (temperature <= 0) throw new ArgumentOutOfRangeException(nameof(temperature), temperature, "The temperature must be positive.");
        ArgumentOutOfRangeException.ThrowIfNegative(inBatchNegatives);
        if (!anchor.shape.AsSpan().SequenceEqual(frozen.shape))
            throw new ArgumentException(
                $"Updated hidden states are [{string.Join(", ", anchor.shape)}], frozen ones [{string.Join(", ", frozen.shape)}].",
                nameof(frozen)
            );
        using var scope = NewDisposeScope();
        var tokens = Unit(TokenRows.Select(anchor, mask)); // [M, D]
        if (tokens.shape[0] == 0)
            throw new NumericalFailureException("The contrastive loss has no token to average: the mask counts no position.");
        var target = Unit(positive.dim() == 1 ? positive.to(float32) : TokenRows.Select(positive.expand(anchor.shape), mask)); // [D] or [M, D]
        var references = Unit(TokenRows.Select(frozen, mask)); // [M, D]
        var columns = new List<Tensor>
        {
            (tokens * target).sum(-1, keepdim: true),
            (tokens * references).sum(-1, keepdim: true),
        };
        var further = (int)Math.Min(inBatchNegatives, tokens.shape[0] - 1);
        if (further > 0)
            columns.Add(tokens.matmul(references.T).gather(1, OtherTokens(tokens.shape[0], further, generator).to(tokens.device)));
        return cat(columns, dim: 1).div(temperature).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// For each of M tokens, K distinct other tokens [M, K]: token i takes i + o (mod M) for K distinct offsets o in 1..M-1 shared by all,
    /// so no token ever is its own further negative and each serves equally often.
    /// </summary>
    private static Tensor OtherTokens(long tokens, int count, Generator? generator)
    {
        var all = count == tokens - 1;
        if (!all && generator is null)
            throw new ArgumentException("Drawing some of the other tokens needs a generator.", nameof(generator));
        var offsets = (all ? arange(tokens - 1, dtype: int64) : randperm(tokens - 1, generator: generator, dtype: int64)[..count]) + 1;
        return (arange(tokens, dtype: int64).unsqueeze(1) + offsets.unsqueeze(0)).remainder(tokens);
    }

    private static Tensor Unit(Tensor rows) => nn.functional.normalize(rows, p: 2, dim: -1, eps: NormEpsilon);
}
