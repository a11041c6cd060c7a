using System.CommandLine;
using Falcon.Evaluation;
using Spectre.Console;
using TorchSharp;

namespace Falcon.Cli;

/// <summary><c>falcon evaluate</c>: measures one model with one or more suites.</summary>
internal static class EvaluateCommand
{
    public static Command Create(SessionStart start)
    {
        var command = new Verb(
            "evaluate", "Measure a model: TOFU's metrics (tofu), multiple choice by likelihood (mcq), perplexity, answer probability and ROUGE-L of question files (qa). Every number comes with its 95 % interval.",
            "evaluate --model runs/first/model --suite tofu --data data/tofu --reference models/never-taught --out runs/first/evaluation.json",
            "evaluate --model runs/first/model --suite qa,perplexity --data qa=questions.jsonl,perplexity=texts.txt --out runs/first/evaluation.json");
        var model = InspectCommand.ModelOption();
        var suite = OptionParsing.List("--suite", $"Suites, separated by commas: {string.Join(", ", EvaluateRun.SuiteNames)}.", "NAMES", required: true);
        var data = new Option<string?>("--data") { Description = "Directory or file with the data of all suites, or SUITE=PATH entries separated by commas; the default is data/SUITE.", HelpName = "DIR" };
        var reference = new Option<string?>("--reference") { Description = "What to compare with: a model directory, which is measured too, or a result file of this verb.", HelpName = "MODEL_OR_RESULTS" };
        var destination = new Option<string>("--out") { Description = "Result file (JSON). What it already holds for the same model, data and settings is used again.", HelpName = "FILE", Required = true };
        var forgetSplit = new Option<string?>("--forget-split") { Description = "tofu: which forget set; the default is the largest in --data.", HelpName = "forget10" };
        var rougeSamples = new Option<int>("--rouge-samples") { Description = "Evenly spaced questions of a set that are answered for ROUGE-L; 0 answers all.", HelpName = "N", DefaultValueFactory = _ => new QuestionSettings().RougeSamples };
        var window = new Option<int?>("--window") { Description = "perplexity: longest window in tokens; the default is the model's max_position_embeddings.", HelpName = "N" };
        suite.Validators.Add(result =>
        {
            foreach (var name in (result.Tokens is [var token] ? token.Value : "").Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
                if (!EvaluateRun.SuiteNames.Contains(name)) result.AddError($"--suite has '{name}', known are {string.Join(", ", EvaluateRun.SuiteNames)}");
        });
        rougeSamples.Validators.Add(result => { if (result.GetValueOrDefault<int>() < 0) result.AddError("--rouge-samples must not be negative"); });
        window.Validators.Add(result => { if (result.GetValueOrDefault<int?>() is < 1) result.AddError("--window must be at least 1"); });
        foreach (var option in new Option[] { model, suite, data, reference, destination, forgetSplit, rougeSamples, window }) command.Add(option);
        var common = new CommonOptions(command);
        command.SetAction(parsed =>
        {
            using var session = start(parsed, common);
            var settings = new EvaluationSettings(
                parsed.GetRequiredValue(model), parsed.GetRequiredValue(suite), parsed.GetValue(data), parsed.GetValue(reference), parsed.GetRequiredValue(destination))
            {
                ForgetSplit = parsed.GetValue(forgetSplit),
                Questions = new QuestionSettings { RougeSamples = parsed.GetValue(rougeSamples), Seed = session.Seed ?? 0 },
                MaxLength = parsed.GetValue(window),
                Device = session.Device,
                DType = session.DType,
            };
            if (session.Threads is { } threads) torch.set_num_threads(threads);
            return session.Finish(EvaluateRun.Execute(settings, session.Log, session.Clock, session.Cancellation), Show);
        });
        return command;
    }

    internal static void Show(IAnsiConsole console, EvaluationResult result)
    {
        var table = new Table().Border(TableBorder.Rounded).AddColumns("metric", "value", "95 % interval", "reference", "better", "n");
        table.Columns[0].NoWrap();
        foreach (var column in table.Columns.Skip(1)) column.RightAligned();
        foreach (var (name, metric) in result.Metrics) table.AddRow(new[] { name }.Concat(ScoreTable.Cells(metric)).Select(cell => new Text(cell)));
        console.Write(table);
    }
}
