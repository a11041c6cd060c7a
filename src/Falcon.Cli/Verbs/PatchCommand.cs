using System.CommandLine;
using System.Globalization;
using Falcon.Exchange;
using Spectre.Console;

namespace Falcon.Cli.Verbs;

/// <summary><c>falcon patch</c>: stores the change of a few matrices as a file, and applies or reverts it.</summary>
internal static class PatchCommand
{
    public static Command Create(SessionStart start)
    {
        var command = new Verb(
            "patch",
            "Store the change that unlearning made as a file, apply it to the original, revert it, or check which of the two a model is. "
                + "Exact to the bit.",
            "patch create --base models/my-model --model runs/first/model --out first.safetensors"
        );
        command.Add(CreateVerb(start));
        command.Add(
            Transform(
                start,
                "apply",
                "--base",
                "Make the changed model from the original and a patch.",
                "The model that the patch was made from.",
                "patch apply --base models/my-model --patch first.safetensors --out models/unlearned",
                WeightPatch.Apply
            )
        );
        command.Add(
            Transform(
                start,
                "revert",
                "--model",
                "Make the original model from the changed one and the patch.",
                "The model that the patch resulted in.",
                "patch revert --model models/unlearned --patch first.safetensors --out models/original",
                WeightPatch.Revert
            )
        );
        command.Add(Verify(start));
        return command;
    }

    private static Option<string> PatchOption() =>
        new("--patch")
        {
            Description = "A file that patch create wrote.",
            HelpName = "FILE",
            Required = true,
        };

    /// <summary>The required option <c>--base DIR|FILE.gguf</c>, the original model.</summary>
    internal static Option<string> BaseOption(string description) =>
        new("--base")
        {
            Description = description,
            HelpName = "DIR|FILE.gguf",
            Required = true,
        };

    private static Verb CreateVerb(SessionStart start)
    {
        var command = new Verb(
            "create",
            "Write the change from one model to another as a file: the changed tensors, the hashes of all tensors before and after, "
                + "and the settings of the run.",
            "patch create --base models/my-model --model runs/first/model --out first.safetensors"
        );
        var before = BaseOption("The model before unlearning.");
        var adapter = InspectCommand.AdapterOption();
        var model = InspectCommand.ModelOption();
        var destination = new Option<string>("--out")
        {
            Description = "The file to write, or a directory for patch.safetensors; it appears whole or not at all.",
            HelpName = "FILE|DIR",
            Required = true,
        };
        foreach (var option in new Option[] { before, adapter, model, destination })
            command.Add(option);
        var common = new CommonOptions(command);
        command.SetAction(parsed =>
        {
            using var session = start(parsed, common);
            var after = session.Model(parsed.GetRequiredValue(model), parsed.GetValue(adapter), asStored: true);
            return session.Finish(
                WeightPatch.Create(
                    session.Model(parsed.GetRequiredValue(before), dtype: NamedModel.StoredDType(after)),
                    after,
                    parsed.GetRequiredValue(destination),
                    session.Context
                ),
                Show
            );
        });
        return command;
    }

    private static Verb Transform(
        SessionStart start,
        string name,
        string source,
        string description,
        string sourceDescription,
        string example,
        Func<string, string, string, Runtime.RunContext, PatchedModel> transform
    )
    {
        var command = new Verb(name, description, example);
        var model = new Option<string>(source) { Description = sourceDescription, HelpName = "DIR|FILE.gguf", Required = true };
        var patch = PatchOption();
        var destination = UnlearnCommand.OutOption();
        foreach (var option in new Option[] { model, patch, destination }) command.Add(option);
        var common = new CommonOptions(command);
        command.SetAction(parsed =>
        {
            using var session = start(parsed, common);
            var result = transform(
                parsed.GetRequiredValue(patch),
                session.Model(parsed.GetRequiredValue(model), dtype: StoredDType(parsed.GetRequiredValue(patch))),
                parsed.GetRequiredValue(destination),
                session.Context
            );
            return session.Finish(result, (console, made) =>
                console.WriteLine(
                    string.Create(
                        CultureInfo.InvariantCulture,
                        $"{made.Model}: {made.Changed.Count} tensors changed, {made.Bytes / 1e9:0.00} GB of weights"
                    )
                )
            );
        });
        return command;
    }

    private static Verb Verify(SessionStart start)
    {
        var command = new Verb(
            "verify",
            "Check whether a model is the original or the result of a patch, by the hashes of all its tensors.",
            "patch verify --model models/unlearned --patch first.safetensors"
        );
        var model = InspectCommand.ModelOption();
        var patch = PatchOption();
        foreach (var option in new Option[] { model, patch }) command.Add(option);
        var common = new CommonOptions(command);
        command.SetAction(parsed =>
        {
            using var session = start(parsed, common);
            var result = WeightPatch.Verify(
                parsed.GetRequiredValue(patch),
                session.Model(parsed.GetRequiredValue(model), dtype: StoredDType(parsed.GetRequiredValue(patch))),
                session.Context
            );
            return session.Finish(result, (console, found) =>
                console.WriteLine(
                    string.Create(
                        CultureInfo.InvariantCulture,
                        $"{found.Model} is the {(found.State == "base" ? "original" : "result")} of the patch: "
                            + $"all {found.Tensors} tensors agree"
                    )
                )
            );
        });
        return command;
    }

    // Of a GGUF file the model is imported as it was when the patch was made.
    private static string StoredDType(string path)
    {
        using var patch = PatchFile.Open(path);
        return patch.Tensors.CountBy(tensor => tensor.DType).MaxBy(one => one.Value).Key switch
        {
            "BF16" => "bfloat16",
            "F16" => "float16",
            _ => "float32",
        };
    }

    private static void Show(IAnsiConsole console, PatchSummary result)
    {
        console.WriteLine(
            string.Create(
                CultureInfo.InvariantCulture,
                $"{result.Path}: {result.Changed.Count} of {result.Tensors} tensors changed ({result.ChangedParameters:N0} weights), "
                    + $"{result.Bytes / 1e6:0.0} MB{(result.HasRun ? ", with the settings of the run" : "")}"
            )
        );
        foreach (var name in result.Changed)
            console.WriteLine("  " + name);
    }
}
