using System.ComponentModel.DataAnnotations;
using Falcon.Runtime;

namespace Falcon.Optimization;

/// <summary>The update rule.</summary>
public enum OptimizerKind
{
    /// <summary>Sophia with a true estimate of the Hessian diagonal (Gauss-Newton-Bartlett on the contrastive logits).</summary>
    Sophia,

    /// <summary>Sophia as the published code runs it: squared combined gradient, momentum twice.</summary>
    SophiaOfficial,

    /// <summary>AdamW.</summary>
    AdamW,
}

/// <summary>How the learning rate falls after the warm-up.</summary>
public enum LearningRateDecay
{
    /// <summary>It does not.</summary>
    Constant,

    /// <summary>In a straight line to the final rate.</summary>
    Linear,

    /// <summary>Along half a cosine to the final rate.</summary>
    Cosine,
}

/// <summary>How the combined gradient becomes an update.</summary>
public sealed record OptimizerSettings
{
    /// <summary>The update rule.</summary>
    public OptimizerKind Kind { get; init; } = OptimizerKind.AdamW;

    /// <summary>Highest learning rate of the run.</summary>
    [Range(0, double.MaxValue, MinimumIsExclusive = true)]
    public double LearningRate { get; init; } = 1e-3;

    /// <summary>Decoupled weight decay.</summary>
    public double WeightDecay { get; init; }

    /// <summary>Steps over which the learning rate rises from 0.</summary>
    [Range(0, int.MaxValue)]
    public int WarmupSteps { get; init; }

    /// <summary>How the learning rate falls after that.</summary>
    public LearningRateDecay Decay { get; init; }

    /// <summary>Decay of the first moment.</summary>
    public double Beta1 { get; init; } = 0.9;

    /// <summary>Decay of the second moment or the curvature.</summary>
    public double Beta2 { get; init; } = 0.99;

    /// <summary>Sophia's rho.</summary>
    public double Rho { get; init; } = 0.04;

    /// <summary>Steps between curvature estimates (sophia).</summary>
    [Range(1, int.MaxValue)]
    public int CurvatureEvery { get; init; } = 10;

    /// <summary>The optimiser; the caller owns it.</summary>
    /// <param name="masters">Float32 masters, borrowed.</param>
    /// <param name="file">Where the moments lie; null for memory.</param>
    public Optimizer Build(IReadOnlyList<BlockTensor> masters, ScratchFile? file = null) =>
        Kind switch
        {
            OptimizerKind.Sophia => new Sophia(
                masters,
                LearningRate,
                Beta1,
                Beta2,
                Rho,
                curvatureInterval: CurvatureEvery,
                weightDecay: WeightDecay,
                file: file
            ),
            OptimizerKind.SophiaOfficial => new SophiaOfficial(
                masters,
                LearningRate,
                Beta1,
                Beta2,
                Rho,
                weightDecay: WeightDecay,
                file: file
            ),
            _ => new AdamW(masters, LearningRate, Beta1, Beta2, weightDecay: WeightDecay, file: file),
        };
}
