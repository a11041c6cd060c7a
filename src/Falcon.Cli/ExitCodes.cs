using Falcon.Runtime;

namespace Falcon.Cli;

/// <summary>The exit codes of the command line and the error that each stands for.</summary>
internal static class ExitCodes
{
    public const int Done = 0;
    public const int Unexpected = 1;
    public const int WrongInput = 2;
    public const int NumericalFailure = 3;
    public const int Interrupted = 130;

    private const int NoSpaceUnix = 28;                                   // ENOSPC
    private const int QuotaUnix = 122;                                    // EDQUOT on Linux
    private const int NoSpaceWindows = unchecked((int)0x80070070);        // ERROR_DISK_FULL
    private const int HandleDiskFullWindows = unchecked((int)0x80070027); // ERROR_HANDLE_DISK_FULL

    /// <summary>
    /// The exit code of an error and the one line that explains it; the line is null for an unexpected error, whose trace is shown.
    /// </summary>
    public static (int Code, string? Line) Describe(Exception error) => error switch
    {
        AggregateException { InnerExceptions: [var only] } => Describe(only),
        FalconException known => (known.ExitCode, OneLine(known.Message)),
        OperationCanceledException => (Interrupted, "interrupted"),
        UnauthorizedAccessException denied => (WrongInput, OneLine(denied.Message) + " Choose a path that you may access."),
        IOException { HResult: NoSpaceUnix or QuotaUnix or NoSpaceWindows or HandleDiskFullWindows } full =>
            (WrongInput, OneLine(full.Message) + " Free space on that disk or choose another --out."),
        _ => (Unexpected, null),
    };

    /// <summary>The text with every run of white space replaced by one space, so that it stays on one line.</summary>
    public static string OneLine(string text) => string.Join(' ', text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
}
