using System.CommandLine;
using System.Globalization;
using Falcon.Evaluation.Metrics;
using Falcon.Exchange;
using Falcon.Exchange.Gguf;
using Falcon.Reporting;
using Falcon.Runs.Evaluating;
using Spectre.Console;

namespace Falcon.Cli.Verbs;

/// <summary><c>falcon export</c>: writes a model or a change in the layout of another tool.</summary>
internal static class ExportCommand
{
    public static Command Create(SessionStart start)
    {
        var command = new Verb(
            "export",
            "Write a model, or the change that unlearning made, in the layout of another tool.",
            "export lora --base models/my-model --model runs/first/model --rank 16 --out adapters/first"
        );
        command.Add(Lora(start));
        command.Add(Gguf(start));
        command.Add(ExportMergedCommand.Create(start));
        return command;
    }

    private static Verb Lora(SessionStart start)
    {
        var command = new Verb(
            "lora",
            "Write the change as a LoRA adapter in PEFT's layout, from the leading singular directions of the difference of each changed "
                + "matrix; states the share of the change that is left out.",
            "export lora --base models/my-model --model runs/first/model --rank 16 --out adapters/first",
            "export lora --base models/my-model --model runs/first/model --rank 16 --suite qa,perplexity "
                + "--data qa=forget.jsonl,perplexity=texts.txt --out adapters/first"
        );
        var before = PatchCommand.BaseOption("The model before unlearning.");
        var model = InspectCommand.ModelOption();
        var adapter = InspectCommand.AdapterOption();
        var rank = OptionParsing.Integer("--rank", "Rank of the adapter: more keeps more of the change.", least: 1);
        rank.Required = true;
        var suite = OptionParsing.List(
            "--suite",
            $"Measure base, unlearned model and base with adapter with these suites: {string.Join(", ", EvaluateRun.SuiteNames)}.",
            "NAMES"
        );
        var data = new Option<string?>("--data") { Description = "Data of the suites, as in evaluate.", HelpName = "DIR" };
        var forgetSplit = new Option<string?>("--forget-split") { Description = "As in evaluate.", HelpName = "forget10" };
        var rougeSamples = new Option<int>("--rouge-samples")
        {
            Description = "As in evaluate.",
            HelpName = "N",
            DefaultValueFactory = _ => new QuestionSettings().RougeSamples,
        };
        var destination = UnlearnCommand.OutOption();
        foreach (var option in new Option[] { before, model, adapter, rank, suite, data, forgetSplit, rougeSamples, destination })
            command.Add(option);
        var common = new CommonOptions(command);
        command.SetAction(parsed =>
        {
            using var session = start(parsed, common);
            var suites = parsed.GetValue(suite) ?? [];
            var evaluation =
                suites.Length == 0
                    ? null
                    : new AdapterEvaluation(suites, parsed.GetValue(data))
                    {
                        ForgetSplit = parsed.GetValue(forgetSplit),
                        RougeSamples = parsed.GetValue(rougeSamples),
                    };
            var after = session.Model(parsed.GetRequiredValue(model), parsed.GetValue(adapter), asStored: true);
            return session.Finish(
                LoraExport.Write(
                    session.Model(parsed.GetRequiredValue(before), dtype: NamedModel.StoredDType(after)),
                    after,
                    parsed.GetValue(rank)!.Value,
                    parsed.GetRequiredValue(destination),
                    evaluation,
                    session.Context
                ),
                Show
            );
        });
        return command;
    }

    private static Verb Gguf(SessionStart start)
    {
        var command = new Verb(
            "gguf",
            "Write a model as a GGUF file for llama.cpp, Ollama and LM Studio, with a Modelfile beside it. A model or tokenizer that "
                + "llama.cpp would not run rightly is refused with the reason.",
            "export gguf --model runs/first/model --out exports/first.gguf",
            "export gguf --model runs/first/model --type q8_0 --out exports/first-q8.gguf"
        );
        var model = InspectCommand.ModelOption();
        var type = new Option<string>("--type")
        {
            Description = $"Number type of the matrices: {string.Join(", ", GgufExport.TypeNames)}. Norms and biases stay float32.",
            HelpName = "TYPE",
            DefaultValueFactory = _ => "f16",
        };
        var destination = new Option<string>("--out")
        {
            Description = "The file to write, ending in .gguf. It appears whole or not at all, and replaces one of that name.",
            HelpName = "FILE",
            Required = true,
        };
        foreach (var option in new Option[] { model, type, destination })
            command.Add(option);
        var common = new CommonOptions(command);
        command.SetAction(parsed =>
        {
            using var session = start(parsed, common);
            return session.Finish(
                GgufExport.Execute(
                    parsed.GetRequiredValue(model),
                    parsed.GetValue(type)!,
                    parsed.GetRequiredValue(destination),
                    session.Context
                ),
                Show
            );
        });
        return command;
    }

    private static void Show(IAnsiConsole console, GgufExportRecord result)
    {
        var types = string.Join(", ", result.Types.Select(type => $"{type.Value} {type.Key}"));
        console.WriteLine(
            string.Create(
                CultureInfo.InvariantCulture,
                $"{result.File}: {result.Architecture}, {result.Parameters:N0} parameters ({types}), {result.Bytes / 1e6:N1} MB"
            )
        );
        console.WriteLine($"{result.Modelfile}: answers stop at {string.Join(", ", result.Stops)}");
    }

    private static void Show(IAnsiConsole console, LoraExportResult result)
    {
        console.WriteLine(
            string.Create(
                CultureInfo.InvariantCulture,
                $"{result.Adapter}: {result.Matrices.Count} matrices, {result.Parameters:N0} weights, "
                    + $"{result.Residual:P1} of the change left out"
            )
        );
        var table = new Table().Border(TableBorder.Rounded).AddColumns("matrix", "rank", "norm of the change", "left out");
        foreach (var matrix in result.Matrices)
            table.AddRow(
                matrix.Module,
                matrix.Rank.ToString(CultureInfo.InvariantCulture),
                MetricText.Value(matrix.Norm, "number"),
                MetricText.Value(matrix.Residual, "percent")
            );
        console.Write(table);
        if (result.Scores.Count == 0) return;
        var scores = new Table().Border(TableBorder.Rounded).AddColumns("metric", "base", "unlearned", "base with adapter");
        foreach (var score in result.Scores)
            scores.AddRow(
                new[] { score.Base, score.Model, score.Adapter }
                    .Select(metric => MetricText.WithInterval(metric, "number"))
                    .Prepend(score.Metric)
                    .Select(cell => new Text(cell))
            );
        console.Write(scores);
    }
}
