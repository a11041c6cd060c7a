using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Optimization;

/// <summary>
/// Sophia, clipped second-order descent: m = b1 m + (1-b1) g; every k steps h = b2 h + (1-b2) * estimate of the Hessian diagonal;
/// p = p (1 - lr wd) - lr clip(m / max(rho batch h, eps), 1), elementwise. Without an estimate h stays 0 and every step is lr sign(m).
/// Source: Liu et al., Sophia (ICLR 2024); FALCON, step 3.
/// </summary>
public sealed class Sophia : Optimizer
{
    private readonly double _beta1, _beta2, _scale, _epsilon, _weightDecay;
    private readonly int _interval;

    /// <summary>Momentum and curvature start at zero.</summary>
    /// <param name="parameters">Float32 master parameters, borrowed.</param>
    /// <param name="learningRate">lr.</param>
    /// <param name="beta1">b1.</param>
    /// <param name="beta2">b2.</param>
    /// <param name="rho">rho: the larger, the more of the step is Newton-like and the less is clipped.</param>
    /// <param name="batch">
    /// Factor of h; 1 where the estimate carries it already, as <see cref="CurvatureEstimate.GaussNewtonBartlett"/> does.
    /// </param>
    /// <param name="curvatureInterval">k, the number of steps between two estimates.</param>
    /// <param name="epsilon">eps, the floor of the denominator.</param>
    /// <param name="weightDecay">wd.</param>
    /// <param name="file">Where the moments lie; null for memory.</param>
    public Sophia(IReadOnlyList<BlockTensor> parameters, double learningRate, double beta1 = 0.965, double beta2 = 0.99, double rho = 0.04,
        double batch = 1, int curvatureInterval = 10, double epsilon = 1e-15, double weightDecay = 1e-3, ScratchFile? file = null)
        : base(parameters, learningRate, ["exp_avg", "hessian"], file)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(curvatureInterval, 1);
        (_beta1, _beta2, _scale, _epsilon, _weightDecay, _interval) = (beta1, beta2, rho * batch, epsilon, weightDecay, curvatureInterval);
    }

    /// <summary>The same over plain float32 tensors, borrowed, moments in memory.</summary>
    /// <exception cref="ArgumentException">No parameter, or one that is not float32.</exception>
    public Sophia(
        IReadOnlyList<Tensor> parameters,
        double learningRate,
        double beta1 = 0.965,
        double beta2 = 0.99,
        double rho = 0.04,
        double batch = 1,
        int curvatureInterval = 10,
        double epsilon = 1e-15,
        double weightDecay = 1e-3
    )
        : this([.. parameters.Select(BlockTensor.Borrow)], learningRate, beta1, beta2, rho, batch, curvatureInterval, epsilon, weightDecay)
    { }

    /// <summary>Whether a curvature estimate is due before the next step: at steps 0, k, 2k and so on.</summary>
    public bool NeedsCurvature => StepCount % _interval == 0;

    /// <summary>Takes in an estimate of the Hessian diagonal: h = b2 h + (1-b2) estimate.</summary>
    /// <param name="hessianDiagonal">One tensor a parameter, same shape.</param>
    /// <exception cref="ArgumentException">Another number or another shape of tensors.</exception>
    public void UpdateCurvature(IReadOnlyList<Tensor> hessianDiagonal) => Average(1, hessianDiagonal, _beta2);

    /// <inheritdoc/>
    protected override void Update(Tensor parameter, Tensor gradient, IReadOnlyList<Tensor> moments)
    {
        var (mean, curvature) = (moments[0], moments[1]);
        Average(mean, gradient, _beta1);
        parameter.mul_(1 - LearningRate * _weightDecay);
        var ratio = mean / (curvature * _scale).clamp_min_(_epsilon);
        parameter.sub_(ratio.clamp_(-1, 1) * LearningRate);
    }
}
