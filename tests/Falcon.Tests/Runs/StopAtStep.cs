using Falcon.Runtime;

namespace Falcon.Tests.Runs;

/// <summary>A log that interrupts a run at a step of unlearning.</summary>
internal sealed class StopAtStep(int step, CancellationTokenSource stop) : IRunLog
{
    public void Information(string message) { }

    public void Warning(string message) { }

    public void Progress(string activity, int done, int total, string? detail = null)
    {
        if (activity == "unlearning" && done == step) stop.Cancel();
    }
}
