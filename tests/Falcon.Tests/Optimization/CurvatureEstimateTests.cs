using Falcon.Methods.Falcon;
using Falcon.Optimization;
using static TorchSharp.torch;

namespace Falcon.Tests.Optimization;

public class CurvatureEstimateTests
{
    [Fact]
    public void GaussNewtonBartlett_OnAverage_IsTheHessianOfASoftmaxLayer()
    {
        // Logits linear in the parameters W [D, C]: the Hessian diagonal of the mean cross-entropy is mean_n x_nd^2 p_nc (1 - p_nc).
        using var scope = NewDisposeScope();
        using var generator = new Generator(2);
        var x = randn([6, 3], generator: generator);
        var w = randn([3, 4], generator: generator).requires_grad_();
        var p = x.matmul(w).softmax(1).detach();
        var exact = x.square().T.matmul(p * (1 - p)) / 6;

        var mean = zeros_like(exact);
        for (var i = 0; i < 600; i++)
        {
            using var inner = NewDisposeScope();
            mean.add_(CurvatureEstimate.GaussNewtonBartlett(() => x.matmul(w), [w], generator)[0], alpha: 1.0 / 600);
        }

        GoldenCases.CloseRelative(exact, mean, 0.15, "mean estimate");
    }

    [Fact]
    public void Hutchinson_OnAverage_IsTheHessianDiagonal()
    {
        // f = sum_ij A_ij x_i x_j / 2 has the Hessian A; the estimate's error comes from off-diagonal elements only.
        using var scope = NewDisposeScope();
        using var generator = new Generator(2);
        var root = randn([5, 5], generator: generator);
        var a = root.matmul(root.T);
        var x = randn([5], generator: generator).requires_grad_();
        Tensor Loss() => x.matmul(a).dot(x) / 2;
        GoldenCases.CloseRelative(a.diagonal(), CurvatureEstimate.Hutchinson(Loss, [x], generator, samples: 600)[0], 0.2, "mean estimate");
        Tensor Separable() => x.pow(3).sum(); // diagonal Hessian 6 x: exact with one sample
        GoldenCases.CloseRelative(x.detach() * 6, CurvatureEstimate.Hutchinson(Separable, [x], generator)[0], 1e-5, "separable");
    }

    [Fact]
    public void Estimates_OfTheInfoNceLoss_AreFiniteAndLeaveNoTensorBehind()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(3);
        var (x, positive, frozen) = (
            randn([2, 3, 6], generator: generator),
            randn([6], generator: generator),
            randn([2, 3, 6], generator: generator)
        );
        var w = randn([6, 6], generator: generator).requires_grad_();
        var unused = ones(2).requires_grad_();
        Tensor Logits() => ContrastiveLoss.Logits(x.matmul(w), positive, frozen);
        Tensor Loss() => ContrastiveLoss.Compute(x.matmul(w), positive, frozen);

        var estimate = CurvatureEstimate.GaussNewtonBartlett(Logits, [w, unused], generator);
        Assert.True(estimate[0].isfinite().all().item<bool>());
        Assert.True(estimate[0].min().item<float>() >= 0);
        Assert.Equal(0, estimate[1].abs().max().item<float>());
        Assert.True(CurvatureEstimate.Hutchinson(Loss, [w], generator)[0].isfinite().all().item<bool>());

        // Without the unused parameter: its absent gradient is a handle to nothing, which the counter takes for a live tensor.
        TensorLeaks.Check(1, results => results.AddRange(CurvatureEstimate.GaussNewtonBartlett(Logits, [w], generator)));
        TensorLeaks.Check(1, results => results.AddRange(CurvatureEstimate.Hutchinson(Loss, [w], generator, 2)));
    }
}
