using static TorchSharp.torch;

namespace Falcon.Optimization;

/// <summary>
/// AdamW: m = b1 m + (1-b1) g, v = b2 v + (1-b2) g^2, p = p (1 - lr wd) - lr (m / (1-b1^t)) / (sqrt(v / (1-b2^t)) + eps).
/// Source: Loshchilov and Hutter, Decoupled Weight Decay Regularization (ICLR 2019); the numbers of torch.optim.AdamW.
/// </summary>
public sealed class AdamW : Optimizer
{
    private readonly double _beta1, _beta2, _epsilon, _weightDecay;
    private readonly IReadOnlyList<Tensor> _mean, _square;

    /// <summary>Moments start at zero.</summary>
    /// <param name="parameters">Float32 master parameters, borrowed.</param>
    /// <param name="learningRate">lr.</param>
    /// <param name="beta1">b1.</param>
    /// <param name="beta2">b2.</param>
    /// <param name="epsilon">eps.</param>
    /// <param name="weightDecay">wd.</param>
    public AdamW(IReadOnlyList<Tensor> parameters, double learningRate, double beta1 = 0.9, double beta2 = 0.999, double epsilon = 1e-8, double weightDecay = 0.01)
        : base(parameters, learningRate)
    {
        (_beta1, _beta2, _epsilon, _weightDecay) = (beta1, beta2, epsilon, weightDecay);
        _mean = NewMoments("exp_avg");
        _square = NewMoments("exp_avg_sq");
    }

    /// <inheritdoc/>
    protected override void Update(int index, Tensor parameter, Tensor gradient)
    {
        Average(_mean[index], gradient, _beta1);
        Average(_square[index], gradient.square(), _beta2);
        var correction1 = 1 - Math.Pow(_beta1, StepCount);
        var correction2 = 1 - Math.Pow(_beta2, StepCount);
        var scale = (_square[index].sqrt() / Math.Sqrt(correction2)).add_(_epsilon);
        parameter.mul_(1 - LearningRate * _weightDecay);
        parameter.addcdiv_(_mean[index], scale, -LearningRate / correction1);
    }
}
