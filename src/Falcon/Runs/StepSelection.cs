using System.Globalization;
using System.Text.Json;
using Falcon.Engine;
using Falcon.Models;
using Falcon.Results;
using Falcon.Runs.Configuration;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Runs;

/// <summary>
/// Chooses which parameters of a run to keep. Measures every few steps, ends the run when the utility budget is spent, searches the
/// straight line from the original to the last parameters, and restores the best. The measurements are written to <c>monitor.jsonl</c>,
/// from which an interrupted run continues.
/// </summary>
internal sealed class StepSelection(
    MonitorConfig settings,
    RunMonitor monitor,
    CausalLM frozen,
    TrainedParameters trained,
    RunDirectory directory,
    IRunLog log
) : IDisposable
{
    private const string FileName = "monitor.jsonl";

    private readonly List<Measurement> _measured = [];

    /// <summary>The best parameters so far.</summary>
    public BestStep Best { get; } = new(trained, settings.UtilityBudget);

    /// <summary>Begins, or goes on after an interruption; the parameters are those after <paramref name="step"/> steps.</summary>
    public void Begin(int step)
    {
        var path = directory.PathOf(FileName);
        if (step > 0 && File.Exists(path))
            _measured.AddRange(
                File.ReadLines(path)
                    .Select(line => JsonSerializer.Deserialize<Measurement>(line, ResultJson.LineOptions)!)
                    .Where(line => line.Step <= step && line.Share == 1)
            );
        File.Delete(path);
        foreach (var measurement in _measured)
            directory.AppendLine(FileName, measurement);
        log.Information(
            string.Create(
                CultureInfo.InvariantCulture,
                $"an answer counts as never learned at a loss of {monitor.TargetLoss:F2} nats a token (now {monitor.Start.AnswerLoss:F2})"
            )
        );
        if (_measured.Count == 0)
            Take(monitor.Start);
    }

    /// <summary>Measures the parameters after <paramref name="step"/> steps where that is due and not done.</summary>
    /// <returns>Whether the utility budget is spent: the last few measurements in a row were all over it.</returns>
    public bool EndsAfter(int step)
    {
        var every = settings.Every;
        if (every > 0 && step > 0 && step % every == 0 && _measured[^1].Step < step)
            Take(Measure(step, 1));
        return _measured.Count > settings.Patience
            && _measured.TakeLast(settings.Patience).All(measurement => !measurement.IsWithin(settings.UtilityBudget));
    }

    /// <summary>
    /// Measures the last parameters, searches the line from the original to them if requested, and sets the trained parameters to the best
    /// values.
    /// </summary>
    /// <param name="steps">Steps that were made.</param>
    public MonitorRecord Finish(int steps)
    {
        var stopped = EndsAfter(steps);
        if (_measured[^1].Step < steps) Take(Measure(steps, 1));
        if (settings.SearchPath) SearchPath(steps);
        Best.Restore();
        var kept = Best.Measurement!;
        var reason = stopped
            ? string.Create(
                CultureInfo.InvariantCulture,
                $"utility loss above the budget of {settings.UtilityBudget:P2} in {settings.Patience} measurements in a row"
            )
            : "all steps made";
        log.Information(
            string.Create(
                CultureInfo.InvariantCulture,
                $"{reason}; kept: step {kept.Step}{(kept.Share < 1 ? $" at {kept.Share:P1} of the way" : "")}, answer loss "
                    + $"{kept.AnswerLoss:F2}, distance {kept.Distance:F3}, utility loss {kept.UtilityLoss:P2}"
            )
        );
        return new MonitorRecord(reason, steps, monitor.TargetLoss, monitor.Start, kept);
    }

    private void SearchPath(int steps)
    {
        List<Tensor> end = [.. trained.Masters.Select(BestStep.Copy)];
        try
        {
            PathSearch.Run(_measured[^1], monitor.TargetLoss, settings.Reference is not null, settings.UtilityBudget, share =>
            {
                MoveTo(end, share);
                var found = Measure(steps, share);
                Offer(found);
                return found;
            });
        }
        finally
        {
            for (var i = 0; i < end.Count; i++) trained.Load(i, end[i]); // an interrupted search leaves the run as it was
            end.ForEach(tensor => tensor.Dispose());
        }
    }

    private void MoveTo(List<Tensor> end, double share)
    {
        using var guard = no_grad();
        for (var i = 0; i < end.Count; i++)
        {
            using var scope = NewDisposeScope();
            var start = frozen.Weight(trained.Names[i]).to(float32);
            trained.Load(i, start + (end[i].to(start.device) - start) * share);
        }
    }

    private Measurement Measure(int step, double share)
    {
        var measurement = monitor.Measure(trained.Updated(frozen), step, share);
        log.Information(
            string.Create(
                CultureInfo.InvariantCulture,
                $"step {step}{(share < 1 ? $" at {share:P1} of the way" : "")}: answer loss {measurement.AnswerLoss:F2}, distance "
                    + $"{measurement.Distance:F3}, utility loss {measurement.UtilityLoss:P2}"
            )
        );
        return measurement;
    }

    private void Take(Measurement measurement)
    {
        Offer(measurement);
        _measured.Add(measurement);
    }

    // The parameters are kept before the line is written: after an interruption between the two, the measurement is repeated.
    private void Offer(Measurement measurement)
    {
        Best.Offer(measurement);
        directory.AppendLine(FileName, measurement);
    }

    /// <summary>Releases the copy of the best parameters.</summary>
    public void Dispose() => Best.Dispose();
}
