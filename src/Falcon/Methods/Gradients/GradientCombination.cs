using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Methods.Gradients;

/// <summary>
/// Weights of forget and retain gradient in the two cases of the conflict rule; the defaults are those of the published runs.
/// </summary>
/// <param name="ForgetInConflict">Weight of the projected forget gradient where the two gradients oppose each other.</param>
/// <param name="RetainInConflict">Weight of the retain gradient there.</param>
/// <param name="ForgetAligned">Weight of the forget gradient where they do not.</param>
/// <param name="RetainAligned">Weight of the retain gradient there.</param>
public sealed record ConflictWeights(
    double ForgetInConflict = 0.8,
    double RetainInConflict = 1.2,
    double ForgetAligned = 0.1,
    double RetainAligned = 1.9
);

/// <summary>One gradient as the sum Forget g_F + Retain g_R.</summary>
/// <param name="Forget">Factor of the forget gradient.</param>
/// <param name="Retain">Factor of the retain gradient.</param>
/// <param name="Cosine">cos(g_F, g_R); 0 where a gradient is 0.</param>
/// <param name="Conflict">Whether the conflict case was taken.</param>
public readonly record struct GradientMix(double Forget, double Retain, double Cosine, bool Conflict);

/// <summary>
/// How the gradients of the two losses become one, for each parameter by itself. Source: FALCON, step 2.2 (gradient conflict).
/// </summary>
public static class GradientCombination
{
    /// <summary>A retain gradient shorter than this share of the forget gradient is rounding noise and counts as no conflict.</summary>
    public const double DefaultZeroNormThreshold = 1e-4;

    private const double CosineNormEpsilon = 1e-8;

    // Elements per block: few enough for the processor's cache; more on a GPU, which needs more work per call.
    private const long ProcessorBlock = 1 << 20;
    private const long DeviceBlock = 1 << 26;

    /// <summary>
    /// With c = cos(g_F, g_R): c below 0 gives w_F (g_F - (g_F.g_R / |g_R|^2) g_R) + w_R g_R with the conflict weights, otherwise w_F g_F +
    /// w_R g_R with the aligned ones. Zero-norm rule: where either gradient is exactly 0, or |g_R| is at most
    /// <paramref name="zeroNormThreshold"/> |g_F|, there is no conflict. (At the first step the updated model is the frozen one and g_R is
    /// noise of about 1e-5 |g_F|; in the published code that noise decides.)
    /// </summary>
    /// <param name="forget">Gradient of the forget loss, any shape and floating type.</param>
    /// <param name="retain">Gradient of the retain loss, same shape.</param>
    /// <param name="weights">Weights of the two cases; null for the defaults.</param>
    /// <param name="zeroNormThreshold">Relative length of the zero-norm rule; 0 reproduces the published code.</param>
    /// <returns>
    /// The combined gradient in float32, c (0 where a gradient is 0; norms clamped at 1e-8), and whether the conflict case was taken.
    /// </returns>
    /// <exception cref="ArgumentException">Shapes disagree.</exception>
    /// <exception cref="NumericalFailureException">A gradient is not finite.</exception>
    public static (Tensor Gradient, double Cosine, bool Conflict) Combine(Tensor forget, Tensor retain,
        ConflictWeights? weights = null, double zeroNormThreshold = DefaultZeroNormThreshold)
    {
        var mix = Mix(forget, retain, weights, zeroNormThreshold);
        return (WeightedSum(forget, retain, mix.Forget, mix.Retain), mix.Cosine, mix.Conflict);
    }

    /// <summary>
    /// The rule of <see cref="Combine"/> as two factors: both of its cases are sums a g_F + b g_R, in conflict with a = w_F and b = w_R -
    /// w_F g_F.g_R / |g_R|^2. So only three products of the gradients are needed, taken block by block, and no tensor of their size is
    /// made.
    /// </summary>
    /// <inheritdoc cref="Combine" path="/param"/>
    /// <inheritdoc cref="Combine" path="/exception"/>
    public static GradientMix Mix(
        Tensor forget,
        Tensor retain,
        ConflictWeights? weights = null,
        double zeroNormThreshold = DefaultZeroNormThreshold
    )
    {
        RequireSameShape(forget, retain);
        weights ??= new ConflictWeights();
        using var guard = no_grad();
        using var scope = NewDisposeScope();
        var f = forget.detach().reshape(-1);
        var r = retain.detach().reshape(-1);
        // Squares of float32 gradients below 1e-19 underflow, so products are taken of gradients scaled to a largest element of 1.
        var (scaleF, scaleR) = (LargestElement(f), LargestElement(r));
        if (!double.IsFinite(scaleF) || !double.IsFinite(scaleR))
            throw new NumericalFailureException(
                FormattableString.Invariant(
                    $"A gradient is not finite: largest element {scaleF:G4} of the forget gradient, {scaleR:G4} of the retain gradient."
                )
            );
        if (scaleF == 0 || scaleR == 0)
            return new GradientMix(weights.ForgetAligned, weights.RetainAligned, 0, false);

        var (dot, squareF, squareR) = Products(f, scaleF, r, scaleR);
        var lengthF = Math.Sqrt(squareF) * scaleF;
        var lengthR = Math.Sqrt(squareR) * scaleR;
        var cosine = dot * scaleF * scaleR / (Math.Max(lengthF, CosineNormEpsilon) * Math.Max(lengthR, CosineNormEpsilon));
        if (dot >= 0 || lengthR <= zeroNormThreshold * lengthF)
            return new GradientMix(weights.ForgetAligned, weights.RetainAligned, cosine, false);
        var projection = dot / squareR * (scaleF / scaleR); // g_F.g_R / |g_R|^2
        return new GradientMix(weights.ForgetInConflict, weights.RetainInConflict - weights.ForgetInConflict * projection, cosine, true);
    }

    /// <summary>
    /// The plain sum forgetWeight * g_F + retainWeight * g_R in float32: the combination of every method without a conflict rule.
    /// </summary>
    /// <param name="forget">Gradient of the forget loss, any shape and floating type.</param>
    /// <param name="retain">Gradient of the retain loss, same shape.</param>
    /// <param name="forgetWeight">Factor of the forget gradient.</param>
    /// <param name="retainWeight">Factor of the retain gradient.</param>
    /// <exception cref="ArgumentException">Shapes disagree.</exception>
    public static Tensor WeightedSum(Tensor forget, Tensor retain, double forgetWeight = 1, double retainWeight = 1)
    {
        RequireSameShape(forget, retain);
        using var guard = no_grad();
        using var scope = NewDisposeScope();
        return Sum(forget.to(float32), forgetWeight, retain.to(float32), retainWeight).MoveToOuterDisposeScope();
    }

    private static Tensor Sum(Tensor f, double weightF, Tensor r, double weightR) => (f * weightF).add_(r, alpha: weightR);

    private static double LargestElement(Tensor flat)
    {
        double largest = 0;
        foreach (var (start, count) in Blocks(flat))
        {
            using var scope = NewDisposeScope();
            var found = flat.narrow(0, start, count).abs().max().to(float32).item<float>();
            if (!float.IsFinite(found)) return found;
            largest = Math.Max(largest, found);
        }

        return largest;
    }

    private static (double Dot, double SquareF, double SquareR) Products(Tensor f, double scaleF, Tensor r, double scaleR)
    {
        var (dot, squareF, squareR) = (0.0, 0.0, 0.0);
        foreach (var (start, count) in Blocks(f))
        {
            using var scope = NewDisposeScope();
            var unitF = f.narrow(0, start, count).to(float32) / scaleF;
            var unitR = r.narrow(0, start, count).to(float32) / scaleR;
            var products = stack([unitF.dot(unitR), unitF.dot(unitF), unitR.dot(unitR)]).cpu().data<float>();
            (dot, squareF, squareR) = (dot + products[0], squareF + products[1], squareR + products[2]);
        }

        return (dot, squareF, squareR);
    }

    private static IEnumerable<(long Start, long Count)> Blocks(Tensor flat)
    {
        var (length, block) = (flat.numel(), flat.device.type == TorchSharp.DeviceType.CPU ? ProcessorBlock : DeviceBlock);
        for (long start = 0; start < length; start += block) yield return (start, Math.Min(block, length - start));
    }

    private static void RequireSameShape(Tensor forget, Tensor retain)
    {
        if (!forget.shape.AsSpan().SequenceEqual(retain.shape))
            throw new ArgumentException(
                $"The forget gradient has shape [{string.Join(", ", forget.shape)}], the retain gradient "
                    + $"[{string.Join(", ", retain.shape)}].",
                nameof(retain)
            );
    }
}
