using System.CommandLine;
using System.Globalization;
using Falcon.Exchange.Gguf;
using Spectre.Console;

namespace Falcon.Cli.Verbs;

/// <summary><c>falcon import</c>: turns a model in another tool's layout into a Hugging Face directory.</summary>
internal static class ImportCommand
{
    private const string Example = "import gguf models/my-model.Q4_K_M.gguf --out models/my-model";

    public static Command Create(SessionStart start)
    {
        var command = new Verb("import", "Turn a model in the layout of another tool into a Hugging Face directory.", Example);
        command.Add(Gguf(start));
        return command;
    }

    private static Verb Gguf(SessionStart start)
    {
        var command = new Verb(
            "gguf",
            "Write the model of a GGUF file (llama.cpp, Ollama, LM Studio) as a Hugging Face directory: weights as the numbers that the "
                + "quantised blocks stand for (float32 unless --dtype says another), tokenizer and chat template from the metadata.",
            Example
        );
        var file = new Argument<string>("file") { Description = "The GGUF file.", HelpName = "FILE" };
        command.Add(file);
        var destination = UnlearnCommand.OutOption();
        command.Add(destination);
        var common = new CommonOptions(command);
        command.SetAction(parsed =>
        {
            using var session = start(parsed, common);
            var dtype = session.Context.DType == "auto" ? "float32" : session.Context.DType;
            return session.Finish(
                GgufImport.Execute(parsed.GetRequiredValue(file), parsed.GetRequiredValue(destination), dtype, session.Context),
                Show
            );
        });
        return command;
    }

    private static void Show(IAnsiConsole console, GgufImportRecord result) =>
        console.WriteLine(
            string.Create(
                CultureInfo.InvariantCulture,
                $"{result.Architecture}, {result.Parameters:N0} parameters in {result.Tensors} tensors "
                    + $"({string.Join(", ", result.Types.Select(type => $"{type.Value} {type.Key}"))}), {result.Tokens:N0} tokens, "
                    + $"written in {result.Dtype}"
            )
        );
}
