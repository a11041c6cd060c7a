using System.Globalization;
using Falcon.Runtime;
using Spectre.Console;

namespace Falcon.Cli;

/// <summary>
/// Shows a run on a console. On a terminal every running stage has a live bar, and finished stages stay as lines above. Elsewhere progress
/// is plain lines: the first and the last of a stage, and at most one every two seconds in between.
/// </summary>
internal sealed class ConsoleRunLog : IRunLog, IDisposable
{
    private static readonly TimeSpan LineInterval = TimeSpan.FromSeconds(2);

    private readonly IAnsiConsole _console;
    private readonly TimeProvider _clock;
    private readonly LiveProgress? _live;
    private readonly Dictionary<string, StageState> _stages = [];
    private readonly Lock _gate = new();

    /// <summary>A log on the console, with live bars if it is an interactive terminal.</summary>
    public ConsoleRunLog(IAnsiConsole console, TimeProvider clock)
    {
        _console = console;
        _clock = clock;
        if (console.Profile.Capabilities is { Ansi: true, Interactive: true } && console.Profile.Out.IsTerminal)
            _live = new LiveProgress(console);
    }

    /// <inheritdoc/>
    public void Information(string message)
    {
        lock (_gate) Write(message, style: null);
    }

    /// <inheritdoc/>
    public void Warning(string message)
    {
        lock (_gate) Write("warning: " + message, new Style(Color.Yellow));
    }

    /// <inheritdoc/>
    public void Progress(string stage, int done, int total, string? status = null)
    {
        lock (_gate)
        {
            var now = _clock.GetTimestamp();
            if (!_stages.TryGetValue(stage, out var state) || done < state.Done) _stages[stage] = state = new StageState(now, done);
            state.Done = done;
            var finished = done >= total;
            var elapsed = _clock.GetElapsedTime(state.Started, now);
            if (_live is not null) _live.Show(stage, done, total, Details(state, done, total, status, elapsed));
            else if (state.Printed is null || finished || _clock.GetElapsedTime(state.Printed.Value, now) >= LineInterval)
            {
                state.Printed = now;
                Write(Line(stage, state, done, total, status, elapsed), style: null);
            }
            if (!finished) return;
            _stages.Remove(stage);
            if (_live is null) return;
            _live.Remove(stage);
            Write(Line(stage, state, done, total, status, elapsed), new Style(Color.Green));
        }
    }

    /// <summary>Ends the live display and restores the terminal.</summary>
    public void Dispose()
    {
        lock (_gate) _live?.Dispose();
    }

    private static string Line(string stage, StageState state, int done, int total, string? status, TimeSpan elapsed) =>
        string.Create(CultureInfo.InvariantCulture, $"{stage} {done}/{total}") + Details(state, done, total, status, elapsed);

    private static string Details(StageState state, int done, int total, string? status, TimeSpan elapsed)
    {
        var details = string.IsNullOrEmpty(status) ? "" : "  " + status;
        if (done >= total) return details + "  done in " + Duration(elapsed);
        var units = done - state.FirstDone;
        return units <= 0 ? details : details + "  " + Duration(elapsed * ((double)(total - done) / units)) + " left";
    }

    /// <summary>A duration as text: 0.4 s, 12 s, 3 min 05 s, 1 h 02 min.</summary>
    internal static string Duration(TimeSpan time)
    {
        if (time.TotalSeconds < 9.95) return time.TotalSeconds.ToString("0.0", CultureInfo.InvariantCulture) + " s";
        var whole = TimeSpan.FromSeconds(Math.Round(time.TotalSeconds));
        if (whole.TotalSeconds < 60) return string.Create(CultureInfo.InvariantCulture, $"{whole.Seconds} s");
        return whole.TotalHours < 1
            ? string.Create(CultureInfo.InvariantCulture, $"{whole.Minutes} min {whole.Seconds:00} s")
            : string.Create(CultureInfo.InvariantCulture, $"{(long)whole.TotalHours} h {whole.Minutes:00} min");
    }

    // In a file a message is one line, however long. On a terminal the console wraps it and keeps the live display below.
    private void Write(string text, Style? style)
    {
        if (_live is null) _console.Profile.Out.Writer.WriteLine(text);
        else _console.Write(new Text(text + "\n", style ?? Style.Plain));
    }

    private sealed class StageState(long started, int firstDone)
    {
        public long Started { get; } = started;

        public int FirstDone { get; } = firstDone;

        public int Done { get; set; } = firstDone;

        public long? Printed { get; set; }
    }
}
