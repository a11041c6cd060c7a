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
    /// Mean over tokens of -log( exp(cos(a,p)/tau) / (exp(cos(a,p)/tau) + exp(cos(a,n)/tau)) ), computed in float32.
    /// The only negative of a token is its own frozen state, as in the published code.
    /// </summary>
    /// <param name="anchor">Updated hidden states [B, T, D], any floating type.</param>
    /// <param name="positive">Principal offset vector [D], or anything that broadcasts to [B, T, D]; its length has no effect.</param>
    /// <param name="frozen">Hidden states of the unchanged model [B, T, D].</param>
    /// <param name="mask">
    /// True at positions that count, [B, T]; null counts every position, padding included, as the published code does.
    /// </param>
    /// <param name="temperature">tau, above 0.</param>
    /// <param name="weights">
    /// A weight for each counted token [M], see <see cref="ForgetBound"/>: the mean is then of weight times loss; null for 1.
    /// </param>
    /// <returns>A float32 scalar that carries a gradient to <paramref name="anchor"/>.</returns>
    /// <exception cref="ArgumentException">Shapes disagree, or the temperature is not positive.</exception>
    /// <exception cref="NumericalFailureException">The mask counts no position.</exception>
    public static Tensor Compute(
        Tensor anchor,
        Tensor positive,
        Tensor frozen,
        Tensor? mask = null,
        double temperature = DefaultTemperature,
        Tensor? weights = null
    )
    {
        using var scope = NewDisposeScope();
        var logits = Logits(anchor, positive, frozen, mask, temperature); // [M, 2]
        var losses = nn.functional.log_softmax(logits, dim: 1).select(1, 0).neg(); // [M]
        return (weights is null ? losses : losses * weights).mean().MoveToOuterDisposeScope();
    }

    /// <summary>
    /// The InfoNCE logits, cosine over temperature: column 0 is the positive, column 1 the token's own frozen state. They are a softmax
    /// classification with the true class 0, so labels can be sampled from them for a curvature estimate.
    /// </summary>
    /// <inheritdoc cref="Compute" path="/param[not(@name='weights')]"/>
    /// <returns>Float32 logits [M, 2] of M counted tokens.</returns>
    /// <exception cref="ArgumentException">Shapes disagree, or the temperature is not positive.</exception>
    /// <exception cref="NumericalFailureException">The mask counts no position.</exception>
    public static Tensor Logits(
        Tensor anchor,
        Tensor positive,
        Tensor frozen,
        Tensor? mask = null,
        double temperature = DefaultTemperature
    )
    {
        if (temperature <= 0) throw new ArgumentOutOfRangeException(nameof(temperature), temperature, "The temperature must be positive.");
        if (!anchor.shape.AsSpan().SequenceEqual(frozen.shape))
            throw new ArgumentException(
                $"Updated hidden states are [{string.Join(", ", anchor.shape)}], frozen ones [{string.Join(", ", frozen.shape)}].",
                nameof(frozen)
            );
        using var scope = NewDisposeScope();
        var tokens = Unit(TokenRows.Select(anchor, mask)); // [M, D]
        if (tokens.shape[0] == 0)
            throw new NumericalFailureException("The contrastive loss has no token to average: the mask counts no position.");
        // [D] or [M, D]
        var target = Unit(positive.dim() == 1 ? positive.to(float32) : TokenRows.Select(positive.expand(anchor.shape), mask));
        var references = Unit(TokenRows.Select(frozen, mask)); // [M, D]
        Tensor[] columns = [(tokens * target).sum(-1, keepdim: true), (tokens * references).sum(-1, keepdim: true)];
        return cat(columns, dim: 1).div(temperature).MoveToOuterDisposeScope();
    }

    private static Tensor Unit(Tensor rows) => nn.functional.normalize(rows, p: 2, dim: -1, eps: NormEpsilon);
}
