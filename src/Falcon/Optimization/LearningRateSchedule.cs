
namespace Falcon.Optimization;

/// <summary>The learning rate of each step: a linear warm-up, then constant, linear or cosine. Pure arithmetic.</summary>
/// <param name="PeakRate">The rate at the end of the warm-up.</param>
/// <param name="Steps">Number of steps of the run; the decay ends at the last one.</param>
/// <param name="Decay">How the rate falls after the warm-up.</param>
/// <param name="WarmupSteps">Step i of the warm-up has PeakRate (i + 1) / WarmupSteps; 0 for none.</param>
/// <param name="FinalShare">Share of PeakRate at the end of the decay, 0 to 1.</param>
public sealed record LearningRateSchedule(
    double PeakRate,
    int Steps,
    LearningRateDecay Decay = LearningRateDecay.Constant,
    int WarmupSteps = 0,
    double FinalShare = 0
)
{
    /// <summary>The rate of a step, counted from 0; after the last step the final rate.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A negative step.</exception>
    public double At(int step)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(step);
        if (step < WarmupSteps) return PeakRate * (step + 1) / WarmupSteps;
        var progress = Math.Clamp((double)(step - WarmupSteps) / Math.Max(1, Steps - WarmupSteps), 0, 1);
        var share = Decay switch
        {
            LearningRateDecay.Linear => 1 - progress,
            LearningRateDecay.Cosine => 0.5 * (1 + Math.Cos(Math.PI * progress)),
            _ => 1,
        };
        return Decay == LearningRateDecay.Constant ? PeakRate : PeakRate * (FinalShare + (1 - FinalShare) * share);
    }
}
