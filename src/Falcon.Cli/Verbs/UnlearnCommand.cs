using System.CommandLine;
using System.Globalization;
using Falcon.Data;
using Falcon.Engine;
using Falcon.Exchange;
using Falcon.Methods;
using Falcon.Results;
using Falcon.Runs;
using Falcon.Runs.Configuration;

namespace Falcon.Cli.Verbs;

/// <summary><c>falcon unlearn</c>: a model, what to forget and what to keep; out comes a run directory with the new model.</summary>
internal static class UnlearnCommand
{
    public static Command Create(SessionStart start)
    {
        var command = new Verb(
            "unlearn",
            "Remove the knowledge of the forget files from a model and keep that of the retain files. Writes a run directory with "
                + "config.json, environment.json, layers.json, metrics.jsonl, run.json and the new model in model/. "
                + "Of a .gguf file, or with "
                + "--adapter, the run keeps the model that it began with in original/.",
            "unlearn --model models/my-model --forget forget.jsonl --retain retain.jsonl --out runs/first",
            "unlearn --model models/my-model --forget a.jsonl,b.jsonl --retain retain.jsonl --preset paper --set "
                + "optimizer.learningRate=1e-4 --out runs/second",
            "unlearn --model models/my-model --forget forget.jsonl --retain retain.jsonl --method npo --set "
                + "objective.forget.npo.beta=0.05 --out runs/third"
        );
        var corpus = new CorpusOptions(command, required: false);
        var preset = new Option<string?>("--preset")
        {
            Description =
                $"Preset of the method {MethodCatalog.Default.Name}; the default is {MethodCatalog.Default.Default.Name}. "
                + string.Join(" ", MethodCatalog.Default.Presets.Select(one => $"{one.Name}: {one.Summary}")),
            HelpName = string.Join('|', MethodCatalog.Default.Presets.Select(one => one.Name)),
        };
        var method = new Option<string?>("--method")
        {
            Description =
                $"Unlearning method: {string.Join(", ", MethodCatalog.Names)}. Each has its published settings (docs/baselines.md); "
                + "--set objective.LIST.KIND.NAME=VALUE changes those of a term.",
            HelpName = "NAME",
        };
        var layer = new Option<string?>("--layer")
        {
            Description = "Layer to unlearn at: auto (least mutual information) or a number counted from 0; the default is the preset's.",
            HelpName = "auto|N",
        };
        var config = new Option<string?>("--config")
        {
            Description = "Run file (JSON with comments); options on the command line win over it.",
            HelpName = "FILE",
        };
        var set = new Option<string[]>("--set")
        {
            Description = "One setting of the configuration, such as optimizer.learningRate=1e-4; may be repeated.",
            HelpName = "key=value",
            Arity = ArgumentArity.OneOrMore,
        };
        var budget = new Option<string?>("--utility-budget")
        {
            Description =
                "Largest loss of utility, such as 1% or 0.01: the run keeps the best parameters within it and ends when it is spent.",
            HelpName = "SHARE",
        };
        var reference = new Option<string?>("--reference")
        {
            Description = "A model that never learned the forget set; the run keeps the parameters closest to it.",
            HelpName = "DIR",
        };
        var engine = new Option<string?>("--engine")
        {
            Description = "Forward passes: shared (what both models have in common runs once) or plain (two whole passes, for comparison).",
            HelpName = "shared|plain",
        };
        var memoryLimit = OptionParsing.Bytes(
            "--memory-limit",
            "Resident memory that the run may take, such as 4GB; a model that does not fit is read layer by layer. The default is what "
                + "the machine has to spare."
        );
        var cacheMemory = OptionParsing.Bytes(
            "--cache-memory",
            "Memory for activations that are kept across epochs; the rest of them goes to a file beside the output. The default is a "
                + "quarter of the limit."
        );
        var cacheDirectory = new Option<string?>("--cache-dir")
        {
            Description =
                "Keep these activations in this directory for later runs with the same model, texts and layers; by default they go with "
                    + "the run.",
            HelpName = "DIR",
        };
        var resume = new Option<bool>("--resume") { Description = "Continue the interrupted run of the same --out." };
        var destination = OutOption();
        preset.AcceptOneOf([.. MethodCatalog.All.SelectMany(one => one.Presets).Select(one => one.Name).Distinct()]);
        method.AcceptOneOf([.. MethodCatalog.Names]);
        engine.AcceptOneOf("shared", "plain");
        layer.Validators.Add(result =>
        {
            var text = result.GetValueOrDefault<string?>();
            if (text is not null and not "auto" && !(int.TryParse(text, out var number) && number >= 0))
                result.AddError($"--layer is '{text}', it must be auto or a number from 0");
        });
        set.Validators.Add(result =>
        {
            foreach (var token in result.Tokens)
                if (token.Value.IndexOf('=', StringComparison.Ordinal) < 1)
                    result.AddError($"--set is '{token.Value}', it must be key=value");
        });
        budget.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<string?>() is { } text && Share(text) is not (>= 0 and < 1))
                result.AddError($"--utility-budget is '{text}', it must be a share such as 1% or 0.01, below 100%");
        });
        foreach (
            var option in new Option[]
            {
                preset,
                method,
                layer,
                config,
                set,
                budget,
                reference,
                engine,
                memoryLimit,
                cacheMemory,
                cacheDirectory,
                resume,
                destination,
            }
        )
            command.Add(option);
        var form = new FormOptions(command);
        var common = new CommonOptions(command);
        command.SetAction(parsed =>
        {
            using var session = start(parsed, common);
            var arguments = new UnlearnArguments(
                parsed.GetValue(corpus.Model),
                Given(parsed.GetValue(corpus.Forget)),
                Given(parsed.GetValue(corpus.Retain)),
                parsed.GetValue(corpus.Field),
                parsed.GetValue(preset),
                parsed.GetValue(method),
                parsed.GetValue(layer),
                parsed.GetValue(config),
                parsed.GetValue(set) ?? [],
                parsed.GetValue(resume),
                parsed.GetRequiredValue(destination),
                parsed.GetValue(engine),
                parsed.GetValue(memoryLimit),
                parsed.GetValue(cacheMemory),
                parsed.GetValue(budget),
                parsed.GetValue(reference),
                parsed.GetValue(cacheDirectory),
                parsed.GetValue(corpus.Adapter)
            );
            return session.Finish(Execute(arguments with { Form = given => form.Over(given, parsed) }, session), ScoreTable.Show);
        });
        return command;
    }

    // 1% or 0.01; NaN for anything else.
    private static double Share(string text) =>
        double.TryParse(text.EndsWith('%') ? text[..^1] : text, NumberStyles.Float, CultureInfo.InvariantCulture, out var value)
            ? text.EndsWith('%')
                ? value / 100
                : value
            : double.NaN;

    private static string[]? Given(string[]? list) => list is { Length: > 0 } ? list : null;

    /// <summary>The required <c>--out DIR</c> of the verbs that write a directory.</summary>
    public static Option<string> OutOption() =>
        new("--out")
        {
            Description = "Directory to write; it must not exist yet, and appears whole or not at all.",
            HelpName = "DIR",
            Required = true,
        };

    private static RunRecord Execute(UnlearnArguments arguments, CommandSession session) =>
        UnlearnRun.Execute(
            Configuration(arguments, session.Seed, session.Context.Log.Warning),
            arguments.Out,
            arguments.Resume,
            session.Context,
            NamedModel.Write
        );

    /// <summary>
    /// The effective configuration: the preset, then the run file, then <c>--set</c>, then the options of the command line.
    /// </summary>
    internal static UnlearnConfig Configuration(UnlearnArguments arguments, int? seed, Action<string>? warn = null)
    {
        var config = UnlearnConfig.Read(arguments.Config, arguments.Settings, arguments.Method, arguments.Preset, warn);
        if (arguments is { Model: not null, Adapter: null } && config.Adapter is { } left)
            warn?.Invoke($"{left}: the run file's adapter belongs to the model that it names and is not merged into {arguments.Model}");
        config = config with
        {
            Model = arguments.Model ?? config.Model,
            Adapter = arguments.Adapter ?? (arguments.Model is null ? config.Adapter : null), // an adapter belongs to its model
            Seed = (ulong?)seed ?? config.Seed,
        };
        config = config with
        {
            Data = config.Data with
            {
                Forget = arguments.Forget ?? config.Data.Forget,
                Retain = arguments.Retain ?? config.Data.Retain,
                Fields = arguments.Field ?? config.Data.Fields,
                PromptForm = arguments.Form?.Invoke(config.Data.PromptForm) ?? config.Data.PromptForm,
            },
        };
        if (arguments.UtilityBudget is not null || arguments.Reference is not null)
            config = config with
            {
                Monitor = config.Monitor with
                {
                    Every = config.Monitor.Every > 0 ? config.Monitor.Every : MonitorConfig.DefaultEvery,
                    UtilityBudget = arguments.UtilityBudget is { } budget ? Share(budget) : config.Monitor.UtilityBudget,
                    Reference = arguments.Reference ?? config.Monitor.Reference,
                    SearchPath = config.Monitor.SearchPath || arguments.Reference is not null,
                },
            };
        config = config with
        {
            Engine = config.Engine with
            {
                Path = arguments.Engine is null ? config.Engine.Path : Enum.Parse<EnginePath>(arguments.Engine, ignoreCase: true),
                MemoryLimit = arguments.MemoryLimit ?? config.Engine.MemoryLimit,
                CacheMemory = arguments.CacheMemory ?? config.Engine.CacheMemory,
                CacheDirectory = arguments.CacheDirectory ?? config.Engine.CacheDirectory,
            },
        };
        if (arguments.Layer is not { } layer)
            return config;
        return config with
        {
            Layers = config.Layers with { Target = layer == "auto" ? null : int.Parse(layer, CultureInfo.InvariantCulture) },
        };
    }
}

/// <summary>What was asked of <c>unlearn</c>; null where it was not given; <paramref name="Settings"/> are key=value as typed.</summary>
internal sealed record UnlearnArguments(
    string? Model,
    IReadOnlyList<string>? Forget,
    IReadOnlyList<string>? Retain,
    string? Field,
    string? Preset,
    string? Method,
    string? Layer,
    string? Config,
    IReadOnlyList<string> Settings,
    bool Resume,
    string Out,
    string? Engine = null,
    long? MemoryLimit = null,
    long? CacheMemory = null,
    string? UtilityBudget = null,
    string? Reference = null,
    string? CacheDirectory = null,
    string? Adapter = null
)
{
    /// <summary>Lays the prompt form's options over a form.</summary>
    public Func<PromptForm, PromptForm>? Form { get; init; }
}
