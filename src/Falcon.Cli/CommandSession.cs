using System.CommandLine;
using System.Diagnostics.CodeAnalysis;
using System.Text.Json;
using Falcon.Exchange;
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
    private readonly List<NamedModel> _models = [];

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

    /// <summary>
    /// The Hugging Face directory of a model that the user named, which may be a GGUF file or want an adapter merged first; what is made of
    /// these goes away with the session. Null for null.
    /// </summary>
    /// <param name="path">The model as the user named it.</param>
    /// <param name="adapter">The adapter as the user named it; null for none.</param>
    /// <param name="dtype">Number type of an import where --dtype names none; null for float32.</param>
    /// <param name="asStored">Whether a merge keeps every tensor's number type, for verbs that compare bytes.</param>
    [return: NotNullIfNotNull(nameof(path))]
    public string? Model(string? path, string? adapter = null, string? dtype = null, bool asStored = false)
    {
        if (path is null || !NamedModel.MustBeMade(path, adapter)) return path;
        var context = Context;
        if (dtype is not null && context.DType == "auto") context = context with { DType = dtype };
        var model = NamedModel.Open(path, adapter, context, asStored);
        _models.Add(model);
        return model.Directory;
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

    public void Dispose()
    {
        foreach (var model in _models) model.Dispose();
        _log.Dispose();
    }
}
