using Spectre.Console;

namespace Falcon.Tests.Cli;

/// <summary>Consoles that write into a string: one like a file, one like a terminal.</summary>
internal static class TestConsole
{
    public static IAnsiConsole Redirected(StringWriter writer) =>
        AnsiConsole.Create(
            new AnsiConsoleSettings
            {
                Ansi = AnsiSupport.No,
                Interactive = InteractionSupport.No,
                Out = new Output(writer, isTerminal: false),
            }
        );

    public static IAnsiConsole Terminal(StringWriter writer) => AnsiConsole.Create(new AnsiConsoleSettings
    {
        Ansi = AnsiSupport.Yes,
        Interactive = InteractionSupport.Yes,
        ColorSystem = ColorSystemSupport.NoColors,
        Out = new Output(writer, isTerminal: true),
        Enrichment = new ProfileEnrichment { UseDefaultEnrichers = false },
    });

    private sealed class Output(StringWriter writer, bool isTerminal) : IAnsiConsoleOutput
    {
        public TextWriter Writer { get; } = TextWriter.Synchronized(writer);

        public bool IsTerminal => isTerminal;

        public int Width => 100;

        public int Height => 40;

        public void SetEncoding(System.Text.Encoding encoding)
        {
        }
    }
}

/// <summary>A clock that stands still until it is moved.</summary>
internal sealed class ManualClock : TimeProvider
{
    private long _ticks;

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override long GetTimestamp() => _ticks;

    public void Advance(double seconds) => _ticks += (long)(seconds * TimeSpan.TicksPerSecond);
}
