using System.Globalization;
using Falcon.Runtime;

namespace Falcon.Methods;

/// <summary>
/// Ends a run that ruins the model: the retain loss without its weight has moved too far from the unchanged model's, on average over the
/// last steps.
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
    /// <exception cref="NumericalFailureException">The run ruins the model, or has not made good the noise at its end.</exception>
    public void Watch(int step, double drift)
    {
        _drifts.Enqueue(drift);
        if (_drifts.Count > Window) _drifts.Dequeue();
        // A run that begins with noise begins far away, and has to have come back at its end, however few steps it had or has been resumed
        // for.
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
