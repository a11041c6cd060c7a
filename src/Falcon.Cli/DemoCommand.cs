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
        var destination = new Option<string?>("--out") { Description = "Directory for the run and its report.html; the default is runs/demo, or runs/demo-2 and so on when that exists.", HelpName = "DIR" };
        command.Add(destination);
        var common = new CommonOptions(command);
        command.SetAction(parsed =>
        {
            using var session = start(parsed, common);
            var result = Execute(parsed.GetValue(destination) ?? FreeDirectory(), session);
            return session.Finish(result, ScoreTable.Show);
        });
        return command;
    }

    // A second demo must not fail because of the first one.
    private static string FreeDirectory() => Enumerable.Range(1, int.MaxValue).Select(i => Path.Combine("runs", i == 1 ? "demo" : $"demo-{i}")).First(path => !Path.Exists(path));

    private static RunRecord Execute(string outDirectory, CommandSession session) =>
        throw new NotSupportedException($"demo: {outDirectory} {session.Device}"); // TODO(wire): Unlearning.DemoRun.Execute(outDirectory, session…) -> result with the fields of the contract
}
