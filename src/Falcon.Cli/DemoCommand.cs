using System.CommandLine;
using Falcon.Runtime;

namespace Falcon.Cli;

/// <summary><c>falcon demo</c>: the main job on the model and data inside the repository.</summary>
internal static class DemoCommand
{
    public static Command Create(SessionStart start)
    {
        var command = new Verb(
            "demo", "Watch knowledge leave a model: analyse, unlearn, evaluate before and after, write a report. Uses the model and data in this repository.",
            "demo", "demo --out runs/demo --json");
        var destination = new Option<string>("--out") { Description = "Directory for the run and its report.html; it must not exist yet.", HelpName = "DIR", DefaultValueFactory = _ => "runs/demo" };
        command.Add(destination);
        var common = new CommonOptions(command);
        command.SetAction(parsed =>
        {
            using var session = start(parsed, common);
            var result = Execute(parsed.GetValue(destination)!, session);
            return session.Finish(result, ScoreTable.Show);
        });
        return command;
    }

    private static RunRecord Execute(string outDirectory, CommandSession session) =>
        throw new NotSupportedException($"demo: {outDirectory} {session.Device}"); // TODO(wire): Unlearning.DemoRun.Execute(outDirectory, session…) -> result with the fields of the contract
}
