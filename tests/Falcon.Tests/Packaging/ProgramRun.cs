using System.Diagnostics;

namespace Falcon.Tests.Packaging;

/// <summary>Another program, run to its end.</summary>
internal static class ProgramRun
{
    /// <summary>Where this build's libtorch lies, for programs that bring none.</summary>
    public static string NativeLibraries => Path.Combine(AppContext.BaseDirectory, "runtimes", "linux-x64", "native");

    /// <summary>Standard output of a program that must end well within the time.</summary>
    public static async Task<string> Of(
        string program,
        string folder,
        IReadOnlyDictionary<string, string?>? environment,
        params string[] arguments
    )
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            WorkingDirectory = folder,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach (var (name, value) in environment ?? new Dictionary<string, string?>())
            start.Environment[name] = value;
        start.Environment["DOTNET_CLI_TELEMETRY_OPTOUT"] =
            start.Environment["DOTNET_NOLOGO"] =
            start.Environment["MSBUILDDISABLENODEREUSE"] =
                "1";
        start.Environment["OMP_WAIT_POLICY"] = "PASSIVE";
        using var process = Process.Start(start)!;
        var errors = process.StandardError.ReadToEndAsync();
        var output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.True(
            process.ExitCode == 0,
            $"{program} {string.Join(' ', arguments)} ended with {process.ExitCode}:\n{output}\n{await errors}"
        );
        return output;
    }

    /// <summary>Skips the test where there is no .NET SDK.</summary>
    public static async Task RequireSdk()
    {
        try
        {
            if ((await Of("dotnet", Path.GetTempPath(), null, "--list-sdks")).Contains("10.", StringComparison.Ordinal)) return;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            // not on the path
        }

        Assert.Skip("needs the .NET SDK 10 on the path");
    }
}
