using System.CommandLine;
using System.Globalization;
using Falcon.Exchange.Adapters;
using Spectre.Console;

namespace Falcon.Cli.Verbs;

/// <summary><c>falcon export merged</c>: a model with a LoRA adapter merged into its weights.</summary>
internal static class ExportMergedCommand
{
    public static Command Create(SessionStart start)
    {
        var command = new Verb(
            "merged",
            "Write a model with a PEFT LoRA adapter merged into its weights, "
                + "as a Hugging Face directory. Every tensor keeps its number type "
                + "unless --dtype names another.",
            "export merged --model models/my-model --adapter adapters/first --out models/merged"
        );
        var model = InspectCommand.ModelOption();
        var adapter = InspectCommand.AdapterOption();
        adapter.Required = true;
        var destination = UnlearnCommand.OutOption();
        foreach (var option in new Option[] { model, adapter, destination })
            command.Add(option);
        var common = new CommonOptions(command);
        command.SetAction(parsed =>
        {
            using var session = start(parsed, common);
            var named = parsed.GetRequiredValue(model);
            var result = AdapterMerge.Execute(
                session.Model(named),
                parsed.GetRequiredValue(adapter)!,
                parsed.GetRequiredValue(destination),
                session.DType,
                session.Context
            );
            return session.Finish(result with { Base = named }, Show);
        });
        return command;
    }

    private static void Show(IAnsiConsole console, AdapterMergeRecord result) =>
        console.WriteLine(
            string.Create(
                CultureInfo.InvariantCulture,
                $"{result.Model}: {result.AdapterTensors} tensors of the adapter changed {result.Changed.Count} of the model"
                    + $"{(result.Untied ? "; embedding and output head are no longer tied" : "")}"
            )
        );
}
