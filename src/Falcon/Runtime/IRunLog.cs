namespace Falcon.Runtime;

/// <summary>Receives the messages and the progress of a run. Library code never writes to the console itself.</summary>
public interface IRunLog
{
    /// <summary>A fact worth knowing, such as the chosen layer and the reason.</summary>
    void Information(string message);

    /// <summary>A probable fault that does not stop the run.</summary>
    void Warning(string message);

    /// <summary>
    /// Progress of a named stage: <paramref name="done"/> of <paramref name="total"/> units, with an optional short status such as the
    /// loss.
    /// </summary>
    void Progress(string stage, int done, int total, string? status = null);
}

/// <summary>A log that discards everything.</summary>
public sealed class SilentRunLog : IRunLog
{
    /// <summary>The instance; it has no state.</summary>
    public static SilentRunLog Instance { get; } = new();

    /// <inheritdoc/>
    public void Information(string message) { }

    /// <inheritdoc/>
    public void Warning(string message) { }

    /// <inheritdoc/>
    public void Progress(string stage, int done, int total, string? status = null) { }
}
