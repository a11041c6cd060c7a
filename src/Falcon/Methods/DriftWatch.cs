using System.Globalization;
using Falcon.Runtime;

namespace Falcon.Methods;

/// <summary>
/// Stops a run that ruins the model: averaged over the last steps, the retain loss without its weight lies too far above the unchanged
/// model's.
/// </summary>
/// <param name="settings">Steps, learning rate, and the noise that the run began with.</param>
internal sealed class DriftWatch(TrainerSettings settings)
{
    // Mean 1 - cos of hidden states, or nats of the next-token distributions, over this many steps.
    private const int Window = 20;
    private const double Largest = 0.5;

    private readonly Queue<double> _drifts = new();

    /// <summary>Looks at a step.</summary>
    /// <param name="step">The step, from 0.</param>
    /// <param name="drift">How far the loss lies above the unchanged model's.</param>
    /// <exception cref="NumericalFailureException">The run ruins the model, or has not repaired the start noise by its end.</exception>
    public void Watch(int step, double drift)
    {
        _drifts.Enqueue(drift);
        if (_drifts.Count > Window) _drifts.Dequeue();
        // A run that starts with noise starts far away. By its last step it must be back, however few steps it has made since it started or
        // was resumed.
        var noise = settings.StartNoise;
        if (noise > 0 ? step < settings.Steps - 1 : _drifts.Count < Window) return;
        var mean = _drifts.Average();
        if (mean <= Largest) return;
        var average = string.Create(
            CultureInfo.InvariantCulture,
            $"over the last {_drifts.Count} steps the retain loss without its weight is {mean:F2} above the unchanged model's on average "
                + $"(at most {Largest})"
        );
        throw new NumericalFailureException(
            noise > 0
                ? FormattableString.Invariant($"Step {step}: the noise of the start is not made good: {average}. ")
                    + FormattableString.Invariant(
                        $"Raise steps ({settings.Steps}) or data.retainBatchSize, or lower layers.startNoise ({noise})."
                    )
                : FormattableString.Invariant($"Step {step}: the run diverges: {average}. ")
                    + FormattableString.Invariant(
                        $"Lower optimizer.learningRate ({settings.Rates.PeakRate}) or raise the weight of the retain term."
                    )
        );
    }
}
