using System.CommandLine;
using Falcon.Reporting;
using Falcon.Runtime;
using Spectre.Console;

namespace Falcon.Cli.Verbs;

/// <summary><c>falcon report</c>: one self-contained HTML page from run directories.</summary>
internal static class ReportCommand
{
    public static Command Create(SessionStart start)
    {
        var command = new Verb(
            "report", "Write one self-contained HTML page (no network, no script) from finished runs.",
            "report runs/first --out report.html");
        var runs = CompareCommand.RunsArgument();
        var destination = new Option<string>("--out") { Description = "The page to write.", HelpName = "FILE", Required = true };
        command.Add(runs);
        command.Add(destination);
        var common = new CommonOptions(command);
        command.SetAction(parsed =>
        {
            using var session = start(parsed, common);
            var page = parsed.GetRequiredValue(destination);
            OutputFile.Write(page, HtmlReport.Render([.. parsed.GetValue(runs)!.Select(RunFiles.ReadReport)]));
            return session.Finish(new ReportResult(Path.GetFullPath(page)), (console, result) => console.WriteLine(result.Report));
        });
        return command;
    }
}

/// <summary>The result of <c>report</c>: where the page is.</summary>
internal sealed record ReportResult(string Report);
