using System.CommandLine;
using Falcon.Research.Tables;
using Falcon.Runtime;

namespace Falcon.Cli.Verbs;

/// <summary><c>falcon bench tables</c>: the tables of README and docs, from the committed results.</summary>
internal static class BenchTablesCommand
{
    public static Command Create(SessionStart start)
    {
        var command = new Verb(
            "tables",
            "Write the tables of README.md and docs/*.md from bench/results: whatever stands between <!-- table NAME --> and "
                + "<!-- /table --> becomes the table of bench/results/NAME.json.",
            "bench tables",
            "bench tables --check"
        );
        var check = new Option<bool>("--check")
        {
            Description = "Write nothing; say which tables differ from the results, and end with exit code 2 if any does.",
        };
        var root = new Option<string>("--root")
        {
            Description = "Root of the repository.",
            HelpName = "DIR",
            DefaultValueFactory = _ => ".",
        };
        command.Add(check);
        command.Add(root);
        var common = new CommonOptions(command);
        command.SetAction(parsed =>
        {
            using var session = start(parsed, common);
            var result = TablePages.Update(parsed.GetRequiredValue(root), parsed.GetValue(check));
            var changed = result.Tables.Where(table => table.Changed).Select(table => $"{table.Page}: {table.Name}").ToList();
            if (parsed.GetValue(check) && changed.Count > 0)
                throw new UserInputException(
                    $"{changed.Count} of {result.Tables.Count} tables differ from bench/results ({string.Join("; ", changed)}); "
                        + "run falcon bench tables"
                );
            return session.Finish(result, (console, _) =>
                console.Profile.Out.Writer.WriteLine(
                    changed.Count == 0
                        ? $"{result.Tables.Count} tables, all as in bench/results"
                        : $"written: {string.Join("; ", changed)}"
                )
            );
        });
        return command;
    }
}
