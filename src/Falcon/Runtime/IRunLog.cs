namespace Falcon.Runtime;

/// <summary>Where a run says what it does. Library code never writes to the console itself.</summary>
public interface IRunLog
{
    /// <summary>A fact a reader wants to know, such as the chosen layer with its reason.</summary>
    void Information(string message);

    /// <summary>Something that is probably wrong but does not stop the run.</summary>
    void Warning(string message);

    /// <summary>
    /// Progress of a named stage: <paramref name="done"/> of <paramref name="total"/> units, with an optional short status (loss, tokens a
    /// second).
    /// </summary>
    void Progress(string stage, int done, int total, string? status = null);
}

/// <summary>A log that says nothing; for tests and library users who want silence.</summary>
public sealed class SilentRunLog : IRunLog
{
    /// <summary>The only instance that is needed.</summary>
    public static SilentRunLog Instance { get; } = new();

    /// <inheritdoc/>
    public void Information(string message) { }

    /// <inheritdoc/>
    public void Warning(string message) { }

    /// <inheritdoc/>
    public void Progress(string stage, int done, int total, string? status = null) { }
}
