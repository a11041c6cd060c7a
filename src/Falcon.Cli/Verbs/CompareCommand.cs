using System.CommandLine;
using Falcon.Reporting;
using Falcon.Results;
using Spectre.Console;

namespace Falcon.Cli.Verbs;

/// <summary><c>falcon compare</c>: the scores of several runs side by side.</summary>
internal static class CompareCommand
{
    public static Command Create(SessionStart start)
    {
        var command = new Verb(
            "compare", "Put the scores of finished runs side by side.",
            "compare runs/falcon runs/paper runs/official");
        var runs = RunsArgument();
        command.Add(runs);
        var common = new CommonOptions(command);
        command.SetAction(parsed =>
        {
            using var session = start(parsed, common);
            var compared = parsed.GetValue(runs)!.Select(path => new ComparedRun(path, RunFiles.ReadRecord(path))).ToList();
            return session.Finish(new CompareResult(compared), Show);
        });
        return command;
    }

    /// <summary>The run directories of <c>compare</c> and <c>report</c>.</summary>
    public static Argument<string[]> RunsArgument() => new("RUN") { Description = "Run directory.", Arity = ArgumentArity.OneOrMore };

    private static void Show(IAnsiConsole console, CompareResult result)
    {
        var table = new Table().Border(TableBorder.Rounded).AddColumn("measured").AddColumn("before");
        foreach (var run in result.Runs)
            table.AddColumn(new TableColumn(new Text(Path.GetFileName(Path.TrimEndingDirectorySeparator(run.Path)))));
        foreach (var name in result.Runs.SelectMany(r => r.Record.Scores).Select(s => (s.Group, s.Name)).Distinct())
        {
            var scores = result.Runs.Select(r => r.Record.Scores.FirstOrDefault(s => (s.Group, s.Name) == name)).ToList();
            var first = scores.First(s => s is not null)!;
            table.AddRow(new[] { name.Name, MetricText.WithInterval(first.Before, first.Unit) }
                .Concat(scores.Select(s => s is null ? "" : MetricText.WithInterval(s.After, s.Unit))).Select(cell => new Text(cell)));
        }
        console.Write(table);
    }
}

/// <summary>The result of <c>compare</c>.</summary>
internal sealed record CompareResult(IReadOnlyList<ComparedRun> Runs);

/// <summary>One run directory and what it recorded.</summary>
internal sealed record ComparedRun(string Path, RunRecord Record);
