using System.CommandLine;
using System.Globalization;
using Falcon.Checkpoints;
using Spectre.Console;

namespace Falcon.Cli.Verbs;

/// <summary><c>falcon inspect</c>: shows the contents of a model directory.</summary>
internal static class InspectCommand
{
    public static Command Create(SessionStart start)
    {
        var command = new Verb(
            "inspect", "Show a model directory: architecture, parameter counts, dtypes, tensors, tokenizer, SHA-256 of the weights.",
            "inspect --model models/my-model",
            "inspect --model models/my-model.Q4_K_M.gguf");
        var model = ModelOption();
        var adapter = AdapterOption();
        command.Add(model);
        command.Add(adapter);
        var common = new CommonOptions(command);
        command.SetAction(parsed =>
        {
            using var session = start(parsed, common);
            var directory = session.Model(parsed.GetRequiredValue(model), parsed.GetValue(adapter));
            return session.Finish(ModelInspection.Read(directory, session.Cancellation), Show);
        });
        return command;
    }

    /// <summary>
    /// The option <c>--model DIR|FILE.gguf</c> of the verbs that read a model; <see cref="CommandSession.Model"/> makes a directory of it.
    /// </summary>
    public static Option<string> ModelOption(bool required = true) =>
        new("--model")
        {
            Description = "Hugging Face model directory (config.json, safetensors, tokenizer.json), or a .gguf file.",
            HelpName = "DIR|FILE.gguf",
            Required = required,
        };

    /// <summary>The option <c>--adapter DIR</c>, which belongs to <c>--model</c>.</summary>
    public static Option<string?> AdapterOption() =>
        new("--adapter") { Description = "Folder with a PEFT LoRA adapter that is merged into --model first.", HelpName = "DIR" };

    internal static void Show(IAnsiConsole console, ModelInspection result)
    {
        var facts = new Grid().AddColumn(new GridColumn().NoWrap()).AddColumn();
        void Fact(string name, string value) => facts.AddRow(new Text(name, new Style(decoration: Decoration.Bold)), new Text(value));
        Fact("architecture", result.Architecture);
        Fact(
            "parameters",
            $"{Count(result.Parameters)} ({string.Join(", ", result.Parts.Select(part => $"{part.Key} {Count(part.Value)}"))})"
        );
        Fact(
            "layers",
            string.Create(
                CultureInfo.InvariantCulture,
                $"{result.Layers}, hidden size {result.HiddenSize}, MLP {result.IntermediateSize}, {result.Heads} heads, "
                    + $"{result.KeyValueHeads} key/value heads"
            )
        );
        Fact("vocabulary", Count(result.VocabularySize) + (result.TiedEmbeddings ? ", output head tied to the embedding" : ""));
        Fact("longest text", Count(result.MaxPositions) + " tokens");
        Fact("dtypes", string.Join(", ", result.DTypes.Select(type => $"{type.Key} ({Count(type.Value)})")));
        Fact("tokenizer", Describe(result.Tokenizer));
        Fact("sha256", result.Sha256);
        foreach (var file in result.Files.Count > 1 ? result.Files : []) Fact("  " + file.Name, file.Sha256);
        foreach (var note in result.Notes) Fact("note", note);
        console.Write(facts);
        var tensors = new Table().Border(TableBorder.Simple).AddColumns("tensor", "dtype", "shape");
        foreach (var tensor in result.Tensors)
            tensors.AddRow(new Text(tensor.Name), new Text(tensor.DType), new Text(string.Join(" × ", tensor.Shape)));
        console.Write(tensors);
    }

    private static string Describe(TokenizerSummary? tokenizer) =>
        tokenizer is null
            ? "none (no tokenizer.json or tokenizer.model in the directory)"
            : $"{Count(tokenizer.VocabularySize)} ids, begin {Token(tokenizer.Bos)}"
                + (tokenizer.AddsBos ? " (put before every text), " : ", ")
                + $"end {Token(tokenizer.Eos)}, padding {tokenizer.PadId?.ToString(CultureInfo.InvariantCulture) ?? "none"}, "
                + (tokenizer.HasChatTemplate ? "with a chat template" : "no chat template");

    private static string Token(SpecialToken? token) =>
        token is null ? "none" : $"{token.Token} ({token.Id?.ToString(CultureInfo.InvariantCulture) ?? "not in the vocabulary"})";

    private static string Count(long number) => number.ToString("N0", CultureInfo.InvariantCulture);
}
