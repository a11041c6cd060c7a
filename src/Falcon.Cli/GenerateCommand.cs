using System.CommandLine;
using Spectre.Console;

namespace Falcon.Cli;

/// <summary><c>falcon generate</c>: text from one model, or from two side by side.</summary>
internal static class GenerateCommand
{
    private const int DefaultMaxTokens = 64;

    public static Command Create(SessionStart start)
    {
        var command = new Verb(
            "generate", "Let a model continue a prompt; with --compare show a second model beside it.",
            "generate --model models/before --prompt \"Where was the lighthouse built?\" --compare runs/demo/model");
        var model = InspectCommand.ModelOption();
        var prompt = new Option<string>("--prompt") { Description = "The text to continue.", HelpName = "TEXT", Required = true };
        var maxTokens = OptionParsing.Integer("--max-tokens", $"Most new tokens; the default is {DefaultMaxTokens}.", least: 1);
        var temperature = OptionParsing.Number("--temperature", "0 takes the most probable token each time (default); higher samples more freely.", "T", least: 0);
        var compare = new Option<string?>("--compare") { Description = "A second model directory.", HelpName = "DIR2" };
        foreach (var option in new Option[] { model, prompt, maxTokens, temperature, compare }) command.Add(option);
        var common = new CommonOptions(command);
        command.SetAction(parsed =>
        {
            using var session = start(parsed, common);
            var arguments = new GenerateArguments(
                parsed.GetRequiredValue(model), parsed.GetRequiredValue(prompt), parsed.GetValue(maxTokens) ?? DefaultMaxTokens, parsed.GetValue(temperature) ?? 0, parsed.GetValue(compare));
            return session.Finish(Execute(arguments, session), Show);
        });
        return command;
    }

    private static GenerateResult Execute(GenerateArguments arguments, CommandSession session) =>
        throw new NotSupportedException($"generate: {arguments} {session.Device}"); // TODO(wire): per model Checkpoint.Load + Generation.Complete(model, tokenizer, prompt, maxTokens, temperature, seed, cancellation)

    internal static void Show(IAnsiConsole console, GenerateResult result)
    {
        if (result.Texts is [var only])
        {
            console.Profile.Out.Writer.WriteLine(only.Text);
            return;
        }
        var table = new Table().Border(TableBorder.Rounded).Expand();
        foreach (var text in result.Texts) table.AddColumn(new TableColumn(new Text(text.Model)));
        table.AddRow(result.Texts.Select(t => new Text(t.Text)));
        console.Write(table);
    }
}

/// <summary>What was asked of <c>generate</c>.</summary>
internal sealed record GenerateArguments(string Model, string Prompt, int MaxTokens, double Temperature, string? Compare);

/// <summary>The result of <c>generate</c>: one text a model, in the order asked.</summary>
internal sealed record GenerateResult(string Prompt, IReadOnlyList<GeneratedText> Texts);

/// <summary>What one model wrote after the prompt.</summary>
internal sealed record GeneratedText(string Model, string Text, int Tokens);
