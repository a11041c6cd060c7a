using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Optimization;

/// <summary>
/// What the published runs really did: h = b2 h + (1-b2) g^2 with the combined gradient itself at every step, the momentum updated twice
/// (m = b1^2 m + (1-b1^2) g), p = p (1 - lr wd) - lr sign(m) min(1, |m| / (rho batch h + eps)). With |g| below about 1.5e-3 the first step
/// is a sign step. For reproduction; <see cref="Sophia"/> is the method as its authors describe it. Source: the SophiaG of the optimiser
/// library that the published code imports.
/// </summary>
public sealed class SophiaOfficial : Optimizer
{
    private readonly double _beta1, _beta2, _scale, _epsilon, _weightDecay;

    /// <summary>Momentum and curvature start at zero. The defaults are those of the published runs.</summary>
    /// <param name="parameters">Float32 master parameters, borrowed.</param>
    /// <param name="learningRate">lr.</param>
    /// <param name="beta1">b1.</param>
    /// <param name="beta2">b2.</param>
    /// <param name="rho">rho.</param>
    /// <param name="batch">Factor of h, a constant there whatever the batch is.</param>
    /// <param name="epsilon">eps.</param>
    /// <param name="weightDecay">wd.</param>
    /// <param name="file">Where the moments lie; null for memory.</param>
    public SophiaOfficial(
        IReadOnlyList<BlockTensor> parameters,
        double learningRate,
        double beta1 = 0.965,
        double beta2 = 0.99,
        double rho = 0.9,
        double batch = 5120,
        double epsilon = 1e-15,
        double weightDecay = 1e-3,
        ScratchFile? file = null
    )
        : base(parameters, learningRate, ["exp_avg", "hessian"], file)
    {
        (_beta1, _beta2, _scale, _epsilon, _weightDecay) = (beta1, beta2, rho * batch, epsilon, weightDecay);
    }

    /// <summary>The same over plain float32 tensors, borrowed, moments in memory.</summary>
    /// <exception cref="ArgumentException">No parameter, or one that is not float32.</exception>
    public SophiaOfficial(
        IReadOnlyList<Tensor> parameters,
        double learningRate,
        double beta1 = 0.965,
        double beta2 = 0.99,
        double rho = 0.9,
        double batch = 5120,
        double epsilon = 1e-15,
        double weightDecay = 1e-3
    )
        : this([.. parameters.Select(BlockTensor.Borrow)], learningRate, beta1, beta2, rho, batch, epsilon, weightDecay) { }

    /// <summary>An additional update h = b2 h + (1-b2) estimate from outside, which the published loop never makes.</summary>
    /// <param name="hessianDiagonal">One tensor a parameter, same shape.</param>
    /// <exception cref="ArgumentException">Another number or another shape of tensors.</exception>
    public void UpdateCurvature(IReadOnlyList<Tensor> hessianDiagonal) => Average(1, hessianDiagonal, _beta2);

    /// <inheritdoc/>
    protected override void Update(Tensor parameter, Tensor gradient, IReadOnlyList<Tensor> moments)
    {
        var (mean, curvature) = (moments[0], moments[1]);
        Average(curvature, gradient.square(), _beta2);
        Average(mean, gradient, _beta1);
        Average(mean, gradient, _beta1);
        parameter.mul_(1 - LearningRate * _weightDecay);
        var ratio = (mean.abs() / (curvature * _scale).add_(_epsilon)).clamp_max_(1);
        parameter.sub_(ratio.mul_(mean.sign()) * LearningRate);
    }
}
