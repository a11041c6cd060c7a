using System.CommandLine;
using System.Globalization;
using Falcon.Runtime;
using Spectre.Console;

namespace Falcon.Cli;

/// <summary><c>falcon inspect</c>: what a model directory holds.</summary>
internal static class InspectCommand
{
    public static Command Create(SessionStart start)
    {
        var command = new Verb(
            "inspect", "Show a model directory: architecture, parameter counts, dtypes, tensors, tokenizer, SHA-256 of the weights.",
            "inspect --model models/my-model");
        var model = ModelOption();
        command.Add(model);
        var common = new CommonOptions(command);
        command.SetAction(parsed =>
        {
            using var session = start(parsed, common);
            return session.Finish(Execute(parsed.GetRequiredValue(model), session), Show);
        });
        return command;
    }

    /// <summary>The required <c>--model DIR</c> of the verbs that read one.</summary>
    public static Option<string> ModelOption() => new("--model") { Description = "Hugging Face model directory (config.json, safetensors, tokenizer.json).", HelpName = "DIR", Required = true };

    private static InspectResult Execute(string modelDirectory, CommandSession session) =>
        throw new NotSupportedException($"inspect: {modelDirectory} {session.Device}"); // TODO(wire): Models.ModelInspection.Read(modelDirectory, session.Cancellation)

    internal static void Show(IAnsiConsole console, InspectResult result)
    {
        var invariant = CultureInfo.InvariantCulture;
        var facts = new Grid().AddColumn().AddColumn();
        void Fact(string name, string value) => facts.AddRow(new Text(name, new Style(decoration: Decoration.Bold)), new Text(value));
        Fact("architecture", result.Architecture);
        Fact("parameters", result.Parameters.ToString("N0", invariant));
        Fact("layers", result.Layers.ToString(invariant));
        Fact("hidden size", result.HiddenSize.ToString(invariant));
        Fact("vocabulary", result.VocabularySize.ToString("N0", invariant));
        Fact("dtypes", string.Join(", ", result.DTypes.Select(d => string.Create(invariant, $"{d.Key} ({d.Value:N0})"))));
        Fact("tokenizer", result.Tokenizer);
        Fact("sha256", result.Sha256);
        console.Write(facts);
        var tensors = new Table().Border(TableBorder.Simple).AddColumns("tensor", "dtype", "shape");
        foreach (var tensor in result.Tensors) tensors.AddRow(new Text(tensor.Name), new Text(tensor.DType), new Text(string.Join(" × ", tensor.Shape)));
        console.Write(tensors);
    }
}

/// <summary>The result of <c>inspect</c>.</summary>
internal sealed record InspectResult(
    string Architecture, long Parameters, int Layers, int HiddenSize, int VocabularySize, IReadOnlyDictionary<string, long> DTypes, string Tokenizer,
    string Sha256, IReadOnlyList<FileHash> Files, IReadOnlyList<TensorEntry> Tensors);

/// <summary>One tensor of a checkpoint.</summary>
internal sealed record TensorEntry(string Name, string DType, IReadOnlyList<long> Shape);
