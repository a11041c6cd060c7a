using Falcon.Engine;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Methods.Baselines;

/// <summary>
/// Representation misdirection: forget activations of a layer are pulled to coefficient * u, a random direction; retain activations to
/// those of the frozen model. Source: Li et al., The WMDP Benchmark (2024).
/// </summary>
public static class RmuLoss
{
    /// <summary>The control vector u [D]: uniform in [0, 1), scaled to length 1 (so it lies in the positive orthant), float32.</summary>
    /// <param name="size">D.</param>
    /// <param name="generator">Draws the vector, on the processor.</param>
    /// <param name="device">Where the result lies; the processor by default.</param>
    public static Tensor ControlVector(long size, Generator generator, Device? device = null)
    {
        using var scope = NewDisposeScope();
        var vector = rand([size], dtype: float32, generator: generator);
        return (vector / vector.norm()).to(device ?? CPU).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// Mean over counted tokens and over D of (updated - target)^2, in float32. Forget loss: target = coefficient * u; retain loss: target
    /// = frozen activations.
    /// </summary>
    /// <param name="updated">Hidden states of the model in training [B, T, D].</param>
    /// <param name="target">[B, T, D], or anything that broadcasts to it.</param>
    /// <param name="mask">
    /// True at positions that count, [B, T]; null counts every position, padding included, as the WMDP code does.
    /// </param>
    /// <exception cref="NumericalFailureException">The mask counts no position.</exception>
    public static Tensor Compute(Tensor updated, Tensor target, Tensor? mask = null)
    {
        using var scope = NewDisposeScope();
        var rows = TokenRows.Select(updated, mask); // [M, D]
        if (rows.shape[0] == 0) throw new NumericalFailureException("The RMU loss has no token to average: the mask counts no position.");
        return (rows - TokenRows.Select(target.expand(updated.shape), mask)).square().mean().MoveToOuterDisposeScope();
    }

    /// <summary>
    /// The same as OpenUnlearning computes it, for reproduction: the sums of the sequences [B] are divided by the counts [B, 1], which
    /// broadcasts to [B, B], so the result is mean(sums) * mean(1 / counts). Equal to <see cref="Compute"/> where all sequences count
    /// equally many tokens.
    /// </summary>
    /// <param name="updated">Hidden states of the model in training [B, T, D].</param>
    /// <param name="target">[B, T, D], or anything that broadcasts to it.</param>
    /// <param name="mask">True at positions with a label, [B, T].</param>
    public static Tensor ComputeOpenUnlearning(Tensor updated, Tensor target, Tensor mask)
    {
        using var scope = NewDisposeScope();
        var counted = mask.to(float32);
        var squares = (updated.to(float32) - target.to(float32)).square().mean([-1]); // [B, T]
        return ((squares * counted).sum(1).mean() * counted.sum(1).reciprocal().mean()).MoveToOuterDisposeScope();
    }
}
