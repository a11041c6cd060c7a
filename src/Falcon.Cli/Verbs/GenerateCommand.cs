using System.CommandLine;
using Falcon.Checkpoints;
using Falcon.Models.Generation;
using Falcon.Runtime.Machine;
using Falcon.Runtime;
using Falcon.Tokenization;
using Spectre.Console;

namespace Falcon.Cli.Verbs;

/// <summary><c>falcon generate</c>: continues a prompt with one model, or with two side by side.</summary>
internal static class GenerateCommand
{
    private const int DefaultMaxTokens = 64;

    public static Command Create(SessionStart start)
    {
        var command = new Verb(
            "generate",
            "Continue a prompt with a model; with --compare the continuation of a second model is shown beside it.",
            "generate --model models/before --prompt \"Where was the lighthouse built?\" --compare runs/demo/model"
        );
        var model = InspectCommand.ModelOption();
        var prompt = new Option<string>("--prompt") { Description = "The text to continue.", HelpName = "TEXT", Required = true };
        var maxTokens = OptionParsing.Integer("--max-tokens", $"Most new tokens; the default is {DefaultMaxTokens}.", least: 1);
        var temperature = OptionParsing.Number(
            "--temperature",
            "0 takes the most likely token (default); above 0 samples, the more freely the higher.",
            "T",
            least: 0
        );
        var compare = new Option<string?>("--compare") { Description = "A second model directory.", HelpName = "DIR2" };
        foreach (var option in new Option[] { model, prompt, maxTokens, temperature, compare }) command.Add(option);
        var common = new CommonOptions(command);
        command.SetAction(parsed =>
        {
            using var session = start(parsed, common);
            var arguments = new GenerateArguments(
                parsed.GetRequiredValue(model),
                parsed.GetRequiredValue(prompt),
                parsed.GetValue(maxTokens) ?? DefaultMaxTokens,
                parsed.GetValue(temperature) ?? 0,
                parsed.GetValue(compare)
            );
            return session.Finish(Execute(arguments, session), Show);
        });
        return command;
    }

    private static GenerateResult Execute(GenerateArguments arguments, CommandSession session)
    {
        List<GeneratedText> texts = [];
        foreach (var directory in arguments.Compare is { } second ? [arguments.Model, second] : new[] { arguments.Model })
            texts.Add(Continue(directory, arguments, session));
        return new GenerateResult(arguments.Prompt, texts);
    }

    private static GeneratedText Continue(string directory, GenerateArguments arguments, CommandSession session)
    {
        using var checkpoint = Checkpoint.Open(directory);
        var tokenizer = HfTokenizer.Load(directory);
        var prompt = tokenizer.Encode(arguments.Prompt);
        if (prompt.Length == 0) throw new UserInputException("--prompt is empty; give the text to continue.");
        checkpoint.RequireKnown(prompt);
        var context = session.Context;
        var compute = ComputeOptions.Choose(context.Device, context.DType, checkpoint.Stored);
        context.Log.Information(compute.Reason);
        using var opened = OpenedModel.Open(checkpoint, compute, context.MemoryLimit, context.Log);
        using var freed = FreedMemory.ReturnAbove(opened.ReturnAbove);
        var model = opened.Model;
        var stopIds = checkpoint.Config.EosTokenIds.Concat(tokenizer.EosId is { } end ? [end] : []).Distinct().ToList();
        var settings = new GenerationSettings(arguments.MaxTokens, arguments.Temperature, session.Seed ?? 0);
        var tokens = Generation.Continue(model, [prompt], settings, stopIds, tokenizer.PadId ?? 0, cancellation: session.Cancellation)[0];
        // Decoded together with the prompt, since a space that begins a continuation is part of its first token.
        var (start, whole) = (
            tokenizer.Decode(prompt, skipSpecialTokens: true),
            tokenizer.Decode([.. prompt, .. tokens], skipSpecialTokens: true)
        );
        var text = whole.StartsWith(start, StringComparison.Ordinal)
            ? whole[start.Length..]
            : tokenizer.Decode(tokens, skipSpecialTokens: true);
        return new GeneratedText(directory, text, tokens.Length);
    }

    internal static void Show(IAnsiConsole console, GenerateResult result)
    {
        if (result.Texts is [var only])
        {
            console.Profile.Out.Writer.WriteLine(result.Prompt + only.Text);
            return;
        }
        console.Profile.Out.Writer.WriteLine(result.Prompt);
        var table = new Table().Border(TableBorder.Rounded).Expand();
        foreach (var text in result.Texts) table.AddColumn(new TableColumn(new Text(text.Model)));
        table.AddRow(result.Texts.Select(t => new Text(t.Text.Trim())));
        console.Write(table);
    }
}

/// <summary>The arguments of <c>generate</c>.</summary>
internal sealed record GenerateArguments(string Model, string Prompt, int MaxTokens, double Temperature, string? Compare);

/// <summary>The result of <c>generate</c>: one text for each model, in the given order.</summary>
internal sealed record GenerateResult(string Prompt, IReadOnlyList<GeneratedText> Texts);

/// <summary>A model's continuation, without the prompt.</summary>
internal sealed record GeneratedText(string Model, string Text, int Tokens);
