using System.CommandLine;
using System.CommandLine.Parsing;
using Falcon.Cli.Verbs;
using Spectre.Console;

namespace Falcon.Cli;

/// <summary>The command line: its verbs, and around them parsing, help, exit codes and the display of errors.</summary>
/// <param name="output">Receives results (standard output).</param>
/// <param name="messages">Receives progress, messages and errors (standard error).</param>
/// <param name="clock">Source of the time.</param>
/// <param name="interruption">Cancelled when the user presses Ctrl-C.</param>
internal sealed class CommandLineApp(TextWriter output, IAnsiConsole messages, TimeProvider clock, CancellationToken interruption)
{
    private bool _verbose;

    /// <summary>Parses the arguments, runs the verb and returns the exit code (<see cref="ExitCodes"/>).</summary>
    public int Run(string[] arguments)
    {
        var root = CreateRoot();
        try
        {
            var parsed = root.Parse(arguments);
            if (parsed.Errors.Count > 0 && !AsksForHelp(arguments)) return Refuse(parsed);
            return parsed.Invoke(new InvocationConfiguration
            {
                EnableDefaultExceptionHandler = false,
                ProcessTerminationTimeout = null,
                Output = output,
                Error = messages.Profile.Out.Writer,
            });
        }
#pragma warning disable CA1031 // The top of the program: every error ends here and becomes an exit code.
        catch (Exception error)
#pragma warning restore CA1031
        {
            return Report(error);
        }
    }

    /// <summary>The root command with all verbs.</summary>
    internal RootCommand CreateRoot()
    {
        var root = new RootCommand(
            "Falcon removes chosen knowledge from a Hugging Face language model (method FALCON) and measures what is left.\n"
                + "Start with: falcon demo"
        )
        {
            HelpName = "falcon",
        };
        root.Add(DemoCommand.Create(Start));
        root.Add(InspectCommand.Create(Start));
        root.Add(GenerateCommand.Create(Start));
        root.Add(AnalyzeCommand.Create(Start));
        root.Add(UnlearnCommand.Create(Start));
        root.Add(EvaluateCommand.Create(Start));
        root.Add(LogprobsCommand.Create(Start));
        root.Add(AttackCommand.Create(Start));
        root.Add(TrainCommand.Create(Start));
        root.Add(BenchCommand.Create(Start));
        root.Add(CompareCommand.Create(Start));
        root.Add(ReportCommand.Create(Start));
        root.Add(PatchCommand.Create(Start));
        root.Add(ExportCommand.Create(Start));
        root.Add(ImportCommand.Create(Start));
        root.Add(DownloadCommand.Create(Start));
        Verb.ShowExamplesIn(root);
        root.SetAction(_ => root.Parse(["--help"]).Invoke(new InvocationConfiguration { Output = output }));
        return root;
    }

    /// <summary>Opens the session of a verb: common options, the log on standard error, the output for the result.</summary>
    private CommandSession Start(ParseResult parsed, CommonOptions options)
    {
        _verbose = parsed.GetValue(options.Verbose);
        return new CommandSession(parsed, options, output, messages, clock, interruption);
    }

    private static bool AsksForHelp(string[] arguments) => arguments.Any(a => a is "--help" or "-h" or "-?" or "/?" or "/h");

    private int Refuse(ParseResult parsed)
    {
        var verb = PathOf(parsed.CommandResult);
        var message = ExitCodes.OneLine(parsed.Errors[0].Message);
        if (parsed.CommandResult.Command is RootCommand root && parsed.UnmatchedTokens is [var unknown, ..])
        {
            var nearest = SpellingDistance.Nearest(unknown, root.Subcommands.Select(c => c.Name));
            message = $"unknown verb '{unknown}'" + (nearest is null ? "" : $"; did you mean '{nearest}'?");
        }
        else if (parsed.UnmatchedTokens is [var stray, ..])
        {
            var nearest = SpellingDistance.Nearest(stray, parsed.CommandResult.Command.Options.Select(o => o.Name));
            message =
                $"unknown {(stray.StartsWith('-') ? "option" : "argument")} '{stray}'"
                + (nearest is null ? "" : $"; did you mean '{nearest}'?");
        }
        WriteLine($"{verb}: {message.TrimEnd('.')} (see '{verb} --help')");
        return ExitCodes.WrongInput;
    }

    private static string PathOf(CommandResult result) =>
        result.Parent is CommandResult parent ? $"{PathOf(parent)} {result.Command.Name}" : "falcon";

    private int Report(Exception error)
    {
        var (code, line) = ExitCodes.Describe(error);
        if (line is not null) WriteLine($"falcon: {line}");
        if (line is null || _verbose) WriteLine(error.ToString());
        return code;
    }

    // Bypasses the console's layout: an error must stay on one line, however narrow the terminal is.
    private void WriteLine(string text) => messages.Profile.Out.Writer.WriteLine(text);
}
