#pragma warning disable RS0030   // the only file that touches the terminal and the system's clock
using System.Runtime.InteropServices;
using Falcon.Cli;
using Spectre.Console;

// The first Ctrl-C (or SIGTERM) asks the run to save its state and stop; the second one kills the process as usual.
using var interruption = new CancellationTokenSource();
using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, EndGently);
using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, EndGently);

var errorConsole = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Console.Error) });
return new CommandLineApp(Console.Out, errorConsole, TimeProvider.System, interruption.Token).Run(args);

void EndGently(PosixSignalContext signal)
{
    if (interruption.IsCancellationRequested)
    {
        if (!Console.IsErrorRedirected) Console.Error.Write("\e[?25h"); // the live display hid the cursor
        return;
    }
    signal.Cancel = true;
    Console.Error.WriteLine("falcon: ending after this step; press Ctrl-C again to stop at once");
    interruption.Cancel();
}
