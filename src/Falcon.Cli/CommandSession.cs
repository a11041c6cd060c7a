using System.CommandLine;
using System.Text.Json;
using Falcon.Runtime;
using Spectre.Console;

namespace Falcon.Cli;

/// <summary>Opens the session of a verb from its parsed arguments.</summary>
internal delegate CommandSession SessionStart(ParseResult parsed, CommonOptions options);

/// <summary>
/// The environment of a verb: the common options, the log on standard error, the cancellation, and the output for its result.
/// </summary>
internal sealed class CommandSession : IDisposable
{
    private readonly TextWriter _output;
    private readonly ConsoleRunLog _log;

    public CommandSession(
        ParseResult parsed,
        CommonOptions options,
        TextWriter output,
        IAnsiConsole messages,
        TimeProvider clock,
        CancellationToken cancellation
    )
    {
        _output = output;
        _log = new ConsoleRunLog(messages, clock);
        Clock = clock;
        Cancellation = cancellation;
        Json = parsed.GetValue(options.Json);
        Device = parsed.GetValue(options.Device)!;
        DType = parsed.GetValue(options.DType)!;
        Seed = parsed.GetValue(options.Seed);
        Threads = parsed.GetValue(options.Threads);
    }

    public bool Json { get; }

    public string Device { get; }

    public string DType { get; }

    public int? Seed { get; }

    public int? Threads { get; }

    public IRunLog Log => _log;

    /// <summary>The context of a library run. Reading it sets the number of threads, which applies to the whole process.</summary>
    public RunContext Context
    {
        get
        {
            if (Threads is { } threads) TorchSharp.torch.set_num_threads(threads);
            return new RunContext(Log, Device, DType, Clock, Cancellation);
        }
    }

    public TimeProvider Clock { get; }

    public CancellationToken Cancellation { get; }

    /// <summary>Prints the result, as JSON with <c>--json</c> or else with <paramref name="show"/>, and returns exit code 0.</summary>
    public int Finish<T>(T result, Action<IAnsiConsole, T> show)
    {
        _log.Dispose(); // a live display would overwrite the result
        if (Json) _output.WriteLine(JsonSerializer.Serialize(result, ResultJson.Options));
        else show(AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(_output) }), result);
        return ExitCodes.Done;
    }

    public void Dispose() => _log.Dispose();
}
