using System.CommandLine;
using Falcon.Runtime;
using Spectre.Console;

namespace Falcon.Cli;

/// <summary><c>falcon evaluate</c>: measures one model with one or more suites.</summary>
internal static class EvaluateCommand
{
    private static readonly string[] Suites = ["tofu", "mcq", "perplexity"];

    public static Command Create(SessionStart start)
    {
        var command = new Verb(
            "evaluate", "Measure a model: answer probability and ROUGE-L (tofu), multiple choice by likelihood (mcq), perplexity. Every number comes with its 95 % interval.",
            "evaluate --model runs/first/model --suite tofu,perplexity --data data/tofu --reference models/never-taught --out runs/first/evaluation.json");
        var model = InspectCommand.ModelOption();
        var suite = OptionParsing.List("--suite", $"Suites, separated by commas: {string.Join(", ", Suites)}.", "NAMES", required: true);
        var data = new Option<string?>("--data") { Description = "Directory with the suite's data.", HelpName = "DIR" };
        var reference = new Option<string?>("--reference") { Description = "What to compare with: a model directory or a result file of this verb.", HelpName = "MODEL_OR_RESULTS" };
        var destination = new Option<string>("--out") { Description = "Result file (JSON).", HelpName = "FILE", Required = true };
        suite.Validators.Add(result =>
        {
            foreach (var name in (result.Tokens is [var token] ? token.Value : "").Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
                if (!Suites.Contains(name)) result.AddError($"--suite has '{name}', known are {string.Join(", ", Suites)}");
        });
        foreach (var option in new Option[] { model, suite, data, reference, destination }) command.Add(option);
        var common = new CommonOptions(command);
        command.SetAction(parsed =>
        {
            using var session = start(parsed, common);
            var arguments = new EvaluateArguments(
                parsed.GetRequiredValue(model), parsed.GetRequiredValue(suite), parsed.GetValue(data), parsed.GetValue(reference), parsed.GetRequiredValue(destination));
            return session.Finish(Execute(arguments, session), Show);
        });
        return command;
    }

    private static EvaluateResult Execute(EvaluateArguments arguments, CommandSession session) =>
        throw new NotSupportedException($"evaluate: {arguments} {session.Device}"); // TODO(wire): Evaluation.EvaluateRun.Execute(...), then OutputFile.Write(arguments.Out, JSON)

    internal static void Show(IAnsiConsole console, EvaluateResult result)
    {
        var table = new Table().Border(TableBorder.Rounded).AddColumns("metric", "value", "95 % interval", "reference", "better", "n");
        foreach (var column in table.Columns.Skip(1)) column.RightAligned();
        foreach (var (name, metric) in result.Metrics) table.AddRow(new[] { name }.Concat(ScoreTable.Cells(metric)).Select(cell => new Text(cell)));
        console.Write(table);
    }
}

/// <summary>What was asked of <c>evaluate</c>.</summary>
internal sealed record EvaluateArguments(string Model, IReadOnlyList<string> Suites, string? Data, string? Reference, string Out);

/// <summary>The result of <c>evaluate</c>.</summary>
internal sealed record EvaluateResult(IReadOnlyDictionary<string, MetricValue> Metrics, ModelHash Model, string Out);
