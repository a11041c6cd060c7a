using System.CommandLine;
using Falcon.Data;
using Falcon.Evaluation;
using Falcon.Evaluation.Metrics;
using Falcon.Exchange;
using Falcon.Runs.Configuration;
using Falcon.Runs.Evaluating;
using Spectre.Console;
using TorchSharp;

namespace Falcon.Cli.Verbs;

/// <summary><c>falcon evaluate</c>: measures one model with one or more suites.</summary>
internal static class EvaluateCommand
{
    public static Command Create(SessionStart start)
    {
        var command = new Verb(
            "evaluate",
            "Measure a model: the benchmarks tofu, muse, wmdp and mmlu; on files of your own multiple choice (mcq), facts of a subject "
                + "folder (facts), extraction strength (memorization), membership inference (privacy), sampled answers (leak), "
                + "perplexity, and answer probability with ROUGE-L (qa). Every number comes with its 95 % interval.",
            "evaluate --model runs/first/model --suite tofu --data data/tofu --reference models/never-taught --out "
                + "runs/first/evaluation.json",
            "evaluate --model runs/first/model --suite qa,perplexity --data qa=questions.jsonl,perplexity=texts.txt --out "
                + "runs/first/evaluation.json"
        );
        var model = InspectCommand.ModelOption();
        var adapter = InspectCommand.AdapterOption();
        var suite = OptionParsing.List(
            "--suite",
            $"Suites, separated by commas: {string.Join(", ", EvaluateRun.SuiteNames)}.",
            "NAMES",
            required: true
        );
        var data = new Option<string?>("--data")
        {
            Description =
                "Directory or file with the data of all suites, or SUITE=PATH entries separated by commas; the default is data/SUITE.",
            HelpName = "DIR",
        };
        var reference = new Option<string?>("--reference")
        {
            Description = "What to compare with: a model (directory or .gguf file), which is measured too, or a result file of this verb.",
            HelpName = "MODEL_OR_RESULTS",
        };
        var before = new Option<string?>("--before")
        {
            Description =
                "The model before unlearning (directory, .gguf file, or result file of this verb). "
                    + "Warns where nothing changed, or where there was "
                    + "nothing to forget.",
            HelpName = "MODEL_OR_RESULTS",
        };
        var destination = new Option<string>("--out")
        {
            Description =
                "Result file (JSON). What it already holds for the same model, data and settings is used again; an interrupted evaluation "
                    + "continues from FILE.partial.jsonl.",
            HelpName = "FILE",
            Required = true,
        };
        var forgetSplit = new Option<string?>("--forget-split")
        {
            Description = "tofu, privacy, leak: the forget set; the default is the largest in --data (tofu), else the one that is there.",
            HelpName = "forget10",
        };
        var rougeSamples = new Option<int>("--rouge-samples")
        {
            Description = "Number of evenly spaced questions of a set that the model answers for ROUGE-L; 0 means all.",
            HelpName = "N",
            DefaultValueFactory = _ => new QuestionSettings().RougeSamples,
        };
        var memoryLimit = OptionParsing.Bytes(
            "--memory-limit",
            "Resident memory that the model may take, such as 4GB; a model that does not fit is read layer by layer. The default is what "
                + "the machine has to spare."
        );
        var window = new Option<int?>("--window")
        {
            Description = "perplexity: longest window in tokens; the default is the model's max_position_embeddings.",
            HelpName = "N",
        };
        var shots = new Option<int>("--shots")
        {
            Description = "mmlu: solved questions before each question; 0 is the harness's default, leaderboards use 5.",
            HelpName = "N",
            DefaultValueFactory = _ => 0,
        };
        var set = new Option<string[]>("--set")
        {
            Description =
                "Another setting: template.question, template.answer, template.endOfText (plain form; default: those of the run that made "
                    + "the model), maxNewTokens, factTokens, fullAnswers, leakSamples, leakTemperature; may be repeated.",
            HelpName = "key=value",
            Arity = ArgumentArity.OneOrMore,
        };
        shots.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<int>() < 0)
                result.AddError("--shots must not be negative");
        });
        suite.Validators.Add(result =>
        {
            foreach (
                var name in (result.Tokens is [var token] ? token.Value : "").Split(
                    ',',
                    StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries
                )
            )
                if (!EvaluateRun.SuiteNames.Contains(name))
                    result.AddError($"--suite has '{name}', known are {string.Join(", ", EvaluateRun.SuiteNames)}");
        });
        rougeSamples.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<int>() < 0)
                result.AddError("--rouge-samples must not be negative");
        });
        window.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<int?>() is < 1)
                result.AddError("--window must be at least 1");
        });
        foreach (
            var option in new Option[]
            {
                model,
                adapter,
                suite,
                data,
                reference,
                before,
                destination,
                forgetSplit,
                rougeSamples,
                window,
                shots,
                memoryLimit,
                set,
            }
        )
            command.Add(option);
        var form = new FormOptions(command);
        var common = new CommonOptions(command);
        command.SetAction(parsed =>
        {
            using var session = start(parsed, common);
            var directory = session.Model(parsed.GetRequiredValue(model), parsed.GetValue(adapter));
            var sets = parsed.GetValue(set) ?? [];
            var run = RunForm.Of(directory);
            var config = ConfigFile.Read(null, sets, new EvaluateConfig { Template = run?.Form?.Template ?? new() }).Validate();
            var isSet = sets.Any(one => one.StartsWith("template", StringComparison.Ordinal));
            var settings = new EvaluationSettings(
                directory,
                parsed.GetRequiredValue(suite),
                parsed.GetValue(data),
                Other(reference),
                parsed.GetRequiredValue(destination)
            )
            {
                Before = Other(before),
                ForgetSplit = parsed.GetValue(forgetSplit),
                Questions = new QuestionSettings
                {
                    RougeSamples = parsed.GetValue(rougeSamples),
                    MaxNewTokens = config.MaxNewTokens,
                    Seed = session.Seed ?? 0,
                },
                MaxLength = parsed.GetValue(window),
                Shots = parsed.GetValue(shots),
                FullAnswers = config.FullAnswers,
                FactTokens = config.FactTokens,
                LeakSamples = config.LeakSamples,
                LeakTemperature = config.LeakTemperature,
                Form = form.AreGiven(parsed) || isSet ? form.Over(Start(run?.Form, isSet ? config.Template : null), parsed) : null,
                FormSource = form.AreGiven(parsed) ? "command line" : isSet ? "--set" : null,
                Device = session.Device,
                DType = session.DType,
                MemoryLimit = parsed.GetValue(memoryLimit),
            };
            // Either may also be a result file of this verb.
            string? Other(Option<string?> option) =>
                parsed.GetValue(option) is { } named && NamedModel.IsGguf(named) ? session.Model(named) : parsed.GetValue(option);

            if (session.Threads is { } threads) torch.set_num_threads(threads);
            return session.Finish(EvaluateRun.Execute(settings, session.Log, session.Clock, session.Cancellation), Show);
        });
        return command;
    }

    // A template of one's own takes the place of the run's form.
    private static PromptForm Start(PromptForm? run, PromptTemplate? own) =>
        own is null ? run ?? new PromptForm() : new PromptForm { Template = own };

    internal static void Show(IAnsiConsole console, EvaluationResult result)
    {
        var table = new Table().Border(TableBorder.Rounded).AddColumns("metric", "value", "95 % interval", "reference", "better", "n");
        table.Columns[0].NoWrap();
        foreach (var column in table.Columns.Skip(1))
            column.RightAligned();
        foreach (var (name, metric) in result.Metrics)
            table.AddRow(new[] { name }.Concat(ScoreTable.Cells(metric)).Select(cell => new Text(cell)));
        console.Write(table);
        console.WriteLine($"prompt form: {result.Form.Describe()} ({result.FormSource})");
        foreach (var note in result.Notes)
            console.WriteLine(note);
    }
}
