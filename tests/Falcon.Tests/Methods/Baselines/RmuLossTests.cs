using Falcon.Methods.Baselines;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Tests.Methods.Baselines;

public class RmuLossTests
{
    [Fact]
    public void Compute_AveragesCountedTokens()
    {
        // By hand, D = 2, target (1, 0): squared errors per token 4/2, 0, (1+1)/2; the mask drops the first.
        using var scope = NewDisposeScope();
        var updated = tensor(new[] { 3f, 0, 1, 0, 0, 1 }, 1, 3, 2);
        var target = tensor(new[] { 1f, 0 });
        Assert.Equal(1, RmuLoss.Compute(updated, target).item<float>(), 1e-6f);
        Assert.Equal(0.5f, RmuLoss.Compute(updated, target, tensor(new[] { false, true, true }, 1, 3)).item<float>(), 1e-6f);
        Assert.Throws<NumericalFailureException>(() => RmuLoss.Compute(updated, target, zeros(1, 3, dtype: @bool)));
    }

    [Fact]
    public void ComputeOpenUnlearning_ReproducesTheBroadcast()
    {
        using var scope = NewDisposeScope();
        var (updated, target, mask) = Inputs();
        var squares = (updated - target).square().mean([2]); // [B, T]
        var quotient = (squares * mask.to(float32)).sum(1) / mask.sum(1, keepdim: true); // [B, B]
        Assert.Equal([2L, 2L], quotient.shape);
        Assert.Equal(quotient.mean().item<float>(), RmuLoss.ComputeOpenUnlearning(updated, target, mask).item<float>(), 1e-5f);
        var all = ones_like(mask);
        Assert.Equal(
            RmuLoss.Compute(updated, target).item<float>(),
            RmuLoss.ComputeOpenUnlearning(updated, target, all).item<float>(),
            1e-5f
        );
    }

    [Fact]
    public void ControlVector_HasUnitLengthInThePositiveOrthant()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(5);
        var u = RmuLoss.ControlVector(300, generator);
        Assert.Equal(1, u.norm().item<float>(), 1e-5f);
        Assert.True(u.min().item<float>() >= 0);
        // The cosine with all-ones tends to E[x] / sqrt(E[x^2]) = sqrt(3)/2 for uniform x.
        Assert.Equal(Math.Sqrt(3) / 2, (u.sum() / Math.Sqrt(300)).item<float>(), 0.03);
    }

    [Fact]
    public void Losses_GradientsAgreeWithFiniteDifferences_AndLeaveNoTensorBehind()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(5);
        var (updated, target, mask) = Inputs();
        FiniteDifferences.Check(x => RmuLoss.Compute(x, target, mask), updated);
        FiniteDifferences.Check(x => RmuLoss.ComputeOpenUnlearning(x, target, mask), updated);
        TensorLeaks.Check(1, results => results.Add(RmuLoss.Compute(updated, target, mask)));
        TensorLeaks.Check(1, results => results.Add(RmuLoss.ComputeOpenUnlearning(updated, target, mask)));
        TensorLeaks.Check(1, results => results.Add(RmuLoss.ControlVector(4, generator)));
    }

    private static (Tensor Updated, Tensor Target, Tensor Mask) Inputs()
    {
        using var generator = new Generator(5);
        return (
            randn([2, 4, 3], generator: generator),
            randn([2, 4, 3], generator: generator),
            tensor(new[] { false, true, true, true, true, true, false, false }, 2, 4)
        );
    }
}
