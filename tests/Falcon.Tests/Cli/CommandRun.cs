using Falcon.Cli;

namespace Falcon.Tests.Cli;

/// <summary>The command line run inside the test process: exit code, standard output and the lines of standard error.</summary>
internal sealed record CommandRun(int ExitCode, string Output, IReadOnlyList<string> Errors)
{
    public static CommandRun Of(params string[] arguments) =>
        Of(new StringWriter(), TimeProvider.System, CancellationToken.None, arguments);

    public static CommandRun Of(StringWriter errors, TimeProvider clock, CancellationToken cancellation, params string[] arguments)
    {
        using var output = new StringWriter();
        var code = new CommandLineApp(output, TestConsole.Redirected(errors), clock, cancellation).Run(arguments);
        return new CommandRun(code, output.ToString(), errors.ToString().Split(Environment.NewLine, StringSplitOptions.RemoveEmptyEntries));
    }
}
