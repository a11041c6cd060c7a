using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Falcon.Research.Engine;
using Falcon.Runtime;
using Spectre.Console;

namespace Falcon.Cli.Verbs;

/// <summary><c>falcon bench</c>: measurements, one verb below it for each.</summary>
internal static class BenchCommand
{
    public static Command Create(SessionStart start)
    {
        var command = new Verb(
            "bench",
            "Measurements: random checkpoints of known shapes, the engine against the authors' loop, the league table of methods, layers, "
                + "the tables of the documentation.",
            "bench make-model --shape llama-1b --out models/random-1b"
        );
        command.Add(MakeModel(start));
        command.Add(Engine(start));
        command.Add(EngineTrialVerb(start));
        command.Add(BenchMethodsCommand.Create(start));
        command.Add(BenchLayersCommand.Create(start));
        command.Add(BenchTablesCommand.Create(start));
        return command;
    }

    /// <summary>The required <c>--shape NAME</c> of the measurements.</summary>
    internal static Option<string> ShapeOption()
    {
        var shape = new Option<string>("--shape")
        {
            Description = "The demo model's shape, Llama-3.2-1B's or Mistral-7B's.",
            HelpName = string.Join('|', RandomCheckpoint.Shapes),
            Required = true,
        };
        shape.AcceptOneOf([.. RandomCheckpoint.Shapes]);
        return shape;
    }

    private static Verb MakeModel(SessionStart start)
    {
        var command = new Verb(
            "make-model",
            "Write a random checkpoint of a known shape (sharded bfloat16), for measurements of time and memory.",
            "bench make-model --shape llama-1b --out models/random-1b"
        );
        var shape = ShapeOption();
        var layers = OptionParsing.Integer("--layers", "Another number of layers than the shape has, for a shorter model.", least: 1);
        var destination = UnlearnCommand.OutOption();
        foreach (var option in new Option[] { shape, layers, destination }) command.Add(option);
        var common = new CommonOptions(command);
        command.SetAction(parsed =>
        {
            using var session = start(parsed, common);
            var record = RandomCheckpoint.Write(
                parsed.GetRequiredValue(shape),
                parsed.GetRequiredValue(destination),
                (ulong)(session.Seed ?? 0),
                parsed.GetValue(layers),
                session.Context
            );
            return session.Finish(record, Show);
        });
        return command;
    }

    private static Verb Engine(SessionStart start)
    {
        var command = new Verb(
            "engine",
            "Step time, offset vector time and peak memory of the authors' loop and of this engine, side by side on this machine.",
            "bench engine --shape demo --layer 4",
            "bench engine --shape llama-1b --layer 7 --steps 3 --out bench/results"
        );
        var shape = ShapeOption();
        var layer = OptionParsing.Integer(
            "--layer",
            "The layer whose output enters the losses; its down projection and those of the two layers below are trained.",
            least: 0
        );
        layer.Required = true;
        var steps = OptionParsing.Integer("--steps", "Timed steps of each process, after one warm-up; 3 by default.", least: 1);
        var batch = OptionParsing.Integer("--batch", "Texts of a batch; 4 by default.", least: 1);
        var length = OptionParsing.Integer("--length", "Tokens of a text; 512 by default.", least: 2);
        var rounds = OptionParsing.Integer("--rounds", "How often the variants take turns; 1 by default.", least: 1);
        var layers = OptionParsing.Integer("--layers", "Another number of layers than the shape has.", least: 1);
        var model = new Option<string?>("--model")
        {
            Description = "A directory that bench make-model wrote for this shape; by default a temporary one is written.",
            HelpName = "DIR",
        };
        var withoutBaseline = new Option<bool>("--no-baseline") { Description = "Measure this engine alone." };
        var destination = new Option<string?>("--out")
        {
            Description = "Folder for engine-SHAPE.md and engine-SHAPE.json; it may exist.",
            HelpName = "DIR",
        };
        foreach (var option in new Option[] { shape, layer, steps, batch, length, rounds, layers, model, withoutBaseline, destination })
            command.Add(option);
        var common = new CommonOptions(command);
        command.SetAction(parsed =>
        {
            using var session = start(parsed, common);
            var settings = new EngineBenchmarkSettings(
                parsed.GetRequiredValue(shape),
                parsed.GetValue(layer) ?? 0,
                parsed.GetValue(steps) ?? 3,
                parsed.GetValue(batch) ?? 4,
                parsed.GetValue(length) ?? 512,
                parsed.GetValue(rounds) ?? 1,
                (ulong)(session.Seed ?? 0),
                parsed.GetValue(model),
                parsed.GetValue(layers),
                parsed.GetValue(withoutBaseline)
            );
            var result = EngineBenchmark.Run(settings, ThisProgram(), session.Threads, session.Context);
            if (parsed.GetValue(destination) is { } folder)
            {
                var depth = settings.Layers is { } count ? string.Create(CultureInfo.InvariantCulture, $"-{count}-layers") : "";
                var name = $"engine-{settings.Shape}{depth}{(session.Device == "cuda" ? "-cuda" : "")}";
                OutputFile.Write(Path.Combine(folder, name + ".md"), EngineTable.Markdown(result));
                OutputFile.Write(Path.Combine(folder, name + ".json"), JsonSerializer.Serialize(result, ResultJson.Options) + "\n");
            }

            return session.Finish(result, (console, record) => console.WriteLine(EngineTable.Markdown(record)));
        });
        return command;
    }

    // One variant in a process of its own; started by the verb above.
    private static Verb EngineTrialVerb(SessionStart start)
    {
        var command = new Verb(
            "engine-trial",
            "One measurement of bench engine.",
            "bench engine-trial --settings trial.json --result result.json"
        )
        {
            Hidden = true,
        };
        var settings = new Option<string>("--settings") { Required = true };
        var result = new Option<string>("--result") { Required = true };
        command.Add(settings);
        command.Add(result);
        var common = new CommonOptions(command);
        command.SetAction(parsed =>
        {
            using var session = start(parsed, common);
            var asked = JsonSerializer.Deserialize<EngineTrialSettings>(
                File.ReadAllText(parsed.GetRequiredValue(settings)),
                ResultJson.Options
            )!;
            var record = EngineTrial.Run(asked, session.Context);
            OutputFile.Write(parsed.GetRequiredValue(result), JsonSerializer.Serialize(record, ResultJson.Options));
            return session.Finish(record, (_, _) => { });
        });
        return command;
    }

    // The program itself where it is one (published, or its own starter), else dotnet with this assembly.
    private static ProgramStart ThisProgram()
    {
        var (assembly, process) = (Path.Combine(AppContext.BaseDirectory, "Falcon.Cli.dll"), Environment.ProcessPath ?? "dotnet");
        var name = Path.GetFileNameWithoutExtension(process);
        if (name is "dotnet" && File.Exists(assembly))
            return new ProgramStart(process, [assembly]);
        return name.Equals("Falcon.Cli", StringComparison.OrdinalIgnoreCase) || !File.Exists(assembly)
            ? new ProgramStart(process, [])
            : new ProgramStart("dotnet", [assembly]);
    }

    private static void Show(IAnsiConsole console, RandomCheckpointRecord result) =>
        console.WriteLine(
            string.Create(
                CultureInfo.InvariantCulture,
                $"{result.Directory}: {result.Layers} layers, {result.Parameters:N0} weights, {result.Bytes / 1e9:0.00} GB in "
                    + $"{result.Shards} files, seed {result.Seed}"
            )
        );
}
