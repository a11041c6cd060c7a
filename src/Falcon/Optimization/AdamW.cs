using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Optimization;

/// <summary>
/// AdamW: m = b1 m + (1-b1) g, v = b2 v + (1-b2) g^2, p = p (1 - lr wd) - lr (m / (1-b1^t)) / (sqrt(v / (1-b2^t)) + eps).
/// Source: Loshchilov and Hutter, Decoupled Weight Decay Regularization (ICLR 2019); the numbers of torch.optim.AdamW.
/// </summary>
public sealed class AdamW : Optimizer
{
    private readonly double _beta1, _beta2, _epsilon, _weightDecay;

    /// <summary>Moments start at zero.</summary>
    /// <param name="parameters">Float32 master parameters, borrowed.</param>
    /// <param name="learningRate">lr.</param>
    /// <param name="beta1">b1.</param>
    /// <param name="beta2">b2.</param>
    /// <param name="epsilon">eps.</param>
    /// <param name="weightDecay">wd.</param>
    /// <param name="file">Where the moments lie; null for memory.</param>
    public AdamW(
        IReadOnlyList<BlockTensor> parameters,
        double learningRate,
        double beta1 = 0.9,
        double beta2 = 0.999,
        double epsilon = 1e-8,
        double weightDecay = 0.01,
        ScratchFile? file = null
    )
        : base(parameters, learningRate, ["exp_avg", "exp_avg_sq"], file)
    {
        (_beta1, _beta2, _epsilon, _weightDecay) = (beta1, beta2, epsilon, weightDecay);
    }

    /// <summary>The same over plain float32 tensors, borrowed, moments in memory.</summary>
    /// <exception cref="ArgumentException">No parameter, or one that is not float32.</exception>
    public AdamW(
        IReadOnlyList<Tensor> parameters,
        double learningRate,
        double beta1 = 0.9,
        double beta2 = 0.999,
        double epsilon = 1e-8,
        double weightDecay = 0.01
    )
        : this([.. parameters.Select(BlockTensor.Borrow)], learningRate, beta1, beta2, epsilon, weightDecay) { }

    /// <inheritdoc/>
    protected override void Update(Tensor parameter, Tensor gradient, IReadOnlyList<Tensor> moments)
    {
        var (mean, square) = (moments[0], moments[1]);
        Average(mean, gradient, _beta1);
        Average(square, gradient.square(), _beta2);
        var correction1 = 1 - Math.Pow(_beta1, StepCount);
        var correction2 = 1 - Math.Pow(_beta2, StepCount);
        var scale = (square.sqrt() / Math.Sqrt(correction2)).add_(_epsilon);
        parameter.mul_(1 - LearningRate * _weightDecay);
        parameter.addcdiv_(mean, scale, -LearningRate / correction1);
    }
}
