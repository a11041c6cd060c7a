using static TorchSharp.torch;

namespace Falcon.Optimization;

/// <summary>
/// What the published runs really did: h = b2 h + (1-b2) g^2 with the combined gradient itself at every step, the momentum updated twice
/// (m = b1^2 m + (1-b1^2) g), p = p (1 - lr wd) - lr sign(m) min(1, |m| / (rho batch h + eps)). With |g| below about 1.5e-3 the first step is a sign step.
/// For reproduction; <see cref="Sophia"/> is the method as its authors describe it. Source: the SophiaG of the optimiser library that the published code imports.
/// </summary>
public sealed class SophiaOfficial : Optimizer
{
    private readonly double _beta1, _beta2, _scale, _epsilon, _weightDecay;
    private readonly IReadOnlyList<Tensor> _mean, _curvature;

    /// <summary>Momentum and curvature start at zero. The defaults are those of the published runs.</summary>
    /// <param name="parameters">Float32 master parameters, borrowed.</param>
    /// <param name="learningRate">lr.</param>
    /// <param name="beta1">b1.</param>
    /// <param name="beta2">b2.</param>
    /// <param name="rho">rho.</param>
    /// <param name="batch">Factor of h, a constant there whatever the batch is.</param>
    /// <param name="epsilon">eps.</param>
    /// <param name="weightDecay">wd.</param>
    public SophiaOfficial(IReadOnlyList<Tensor> parameters, double learningRate, double beta1 = 0.965, double beta2 = 0.99, double rho = 0.9,
        double batch = 5120, double epsilon = 1e-15, double weightDecay = 1e-3)
        : base(parameters, learningRate)
    {
        (_beta1, _beta2, _scale, _epsilon, _weightDecay) = (beta1, beta2, rho * batch, epsilon, weightDecay);
        _mean = NewMoments("exp_avg");
        _curvature = NewMoments("hessian");
    }

    /// <summary>An additional update h = b2 h + (1-b2) estimate from outside, which the published loop never makes.</summary>
    /// <param name="hessianDiagonal">One tensor a parameter, same shape.</param>
    /// <exception cref="ArgumentException">Another number or another shape of tensors.</exception>
    public void UpdateCurvature(IReadOnlyList<Tensor> hessianDiagonal) => Average(_curvature, hessianDiagonal, _beta2);

    /// <inheritdoc/>
    protected override void Update(int index, Tensor parameter, Tensor gradient)
    {
        Average(_curvature[index], gradient.square(), _beta2);
        Average(_mean[index], gradient, _beta1);
        Average(_mean[index], gradient, _beta1);
        parameter.mul_(1 - LearningRate * _weightDecay);
        var ratio = (_mean[index].abs() / (_curvature[index] * _scale).add_(_epsilon)).clamp_max_(1);
        parameter.sub_(ratio.mul_(_mean[index].sign()) * LearningRate);
    }
}
