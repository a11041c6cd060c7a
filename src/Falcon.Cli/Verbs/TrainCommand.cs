using System.CommandLine;
using System.Globalization;
using Falcon.Data;
using Falcon.Runs.Configuration;
using Falcon.Runs.Training;
using Spectre.Console;

namespace Falcon.Cli.Verbs;

/// <summary><c>falcon train</c>: trains or fine-tunes a small model, such as the demo model.</summary>
internal static class TrainCommand
{
    public static Command Create(SessionStart start)
    {
        var command = new Verb(
            "train", "Train or fine-tune a small model from a run file.",
            "train --config configs/demo-train.jsonc --out runs/demo-model");
        var config = new Option<string>("--config") { Description = "Run file (JSON with comments).", HelpName = "FILE", Required = true };
        var destination = UnlearnCommand.OutOption();
        command.Add(config);
        command.Add(destination);
        var form = new FormOptions(command);
        var common = new CommonOptions(command);
        command.SetAction(parsed =>
        {
            using var session = start(parsed, common);
            return session.Finish(
                Execute(parsed.GetRequiredValue(config), parsed.GetRequiredValue(destination), given => form.Over(given, parsed), session),
                Show
            );
        });
        return command;
    }

    private static TrainRecord Execute(
        string configFile,
        string outDirectory,
        Func<PromptForm, PromptForm> form,
        CommandSession session
    )
    {
        var config = ConfigFile.Read<TrainConfig>(configFile, []);
        config = config with { Data = config.Data with { PromptForm = form(config.Data.PromptForm) } };
        config = config with { StartFrom = session.Model(config.StartFrom) };
        return TrainRun.Execute(config with { Seed = (ulong?)session.Seed ?? config.Seed }, outDirectory, session.Context);
    }

    private static void Show(IAnsiConsole console, TrainRecord result) =>
        console.WriteLine(
            string.Create(
                CultureInfo.InvariantCulture,
                $"{result.Steps} steps, loss {result.Loss:0.0000}, {result.Seconds:0} s; weights {result.Model.Sha256}"
            )
        );
}
