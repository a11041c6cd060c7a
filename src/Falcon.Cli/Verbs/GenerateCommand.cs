using System.CommandLine;
using Falcon.Checkpoints;
using Falcon.Data;
using Falcon.Models.Generation;
using Falcon.Runs.Evaluating;
using Falcon.Runtime;
using Falcon.Runtime.Machine;
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
            "Continue a prompt with a model, or with --chat answer it as the user's turn of a conversation; with --compare the text of a "
                + "second model is shown beside it.",
            "generate --model models/before --prompt \"Where was the lighthouse built?\" --compare runs/demo/model",
            "generate --model models/instruct --chat --prompt \"What is the capital of France?\""
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
        var compare = new Option<string?>("--compare") { Description = "A second model: directory or .gguf file.", HelpName = "DIR2" };
        var adapter = InspectCommand.AdapterOption();
        var chat = new Option<bool>("--chat") { Description = "The prompt is the user's turn of the model's chat template." };
        foreach (var option in new Option[] { model, adapter, prompt, maxTokens, temperature, compare, chat }) command.Add(option);
        var form = new FormOptions(command);
        var common = new CommonOptions(command);
        command.SetAction(parsed =>
        {
            using var session = start(parsed, common);
            var arguments = new GenerateArguments(
                parsed.GetRequiredValue(model),
                parsed.GetRequiredValue(prompt),
                parsed.GetValue(maxTokens) ?? DefaultMaxTokens,
                parsed.GetValue(temperature) ?? 0,
                parsed.GetValue(compare),
                given => Asked(form.Over(given, parsed), parsed.GetValue(chat) || parsed.GetValue(form.Form) == "chat"),
                parsed.GetValue(adapter)
            );
            return session.Finish(Execute(arguments, session), Show);
        });
        return command;
    }

    // Without --chat the prompt is the text to continue, and there is no system message.
    private static PromptForm Asked(PromptForm form, bool isChat)
    {
        if (isChat && form.Kind == FormKind.Plain)
            throw new UserInputException("--chat and --form plain exclude each other; leave one of them out.");
        if (!isChat && form.System is not null)
            throw new UserInputException("--system: only a conversation has a system message; add --chat.");
        return isChat ? form with { Kind = FormKind.Chat, Template = new() } : new PromptForm { Kind = FormKind.Plain };
    }

    private static GenerateResult Execute(GenerateArguments arguments, CommandSession session)
    {
        var name = arguments.Adapter is null ? arguments.Model : $"{arguments.Model} with {arguments.Adapter}";
        var directory = session.Model(arguments.Model, arguments.Adapter);
        var other = arguments.Compare is { } second ? session.Model(second) : null;
        if (other is not null) Checkpoint.Open(other).Dispose(); // said before the first model has worked
        List<GeneratedText> texts = [Continue(name, directory, arguments, session)];
        if (other is not null) texts.Add(Continue(arguments.Compare!, other, arguments, session));
        var first = texts[0];
        return new GenerateResult(arguments.Prompt, first.PromptTokens, first.Tokens, first.Text, first.Stop, texts);
    }

    private static GeneratedText Continue(string name, string directory, GenerateArguments arguments, CommandSession session)
    {
        using var checkpoint = Checkpoint.Open(directory);
        var tokenizer = HfTokenizer.Load(directory);
        checkpoint.TellNotes(session.Context.Log, tokenizer);
        var context = session.Context;
        // System message and date of the run that made the model, where a run did and a conversation is asked for.
        var prompts = new PromptEncoder(
            tokenizer,
            arguments.Form((RunForm.Of(directory)?.Form ?? new PromptForm()) with { Kind = FormKind.Auto }).OnDay(context.Today)
        );
        var prompt = prompts.EncodePrompt(new AskedQuestion(arguments.Prompt) { WithoutForm = !prompts.IsChat });
        if (arguments.Prompt.Length == 0 || prompt.Length == 0)
            throw new UserInputException("--prompt is empty; give the text to continue.");
        checkpoint.RequireKnown(prompt);
        var positions = checkpoint.Config.MaxPositions;
        if (prompt.Length >= positions)
            throw new UserInputException(
                $"--prompt has {prompt.Length} tokens, but the model has {positions} positions for prompt and answer; shorten it."
            );
        var compute = ComputeOptions.Choose(context.Device, context.DType, checkpoint.Stored);
        context.Log.Information(compute.Reason);
        using var opened = OpenedModel.Open(checkpoint, compute, context.MemoryLimit, context.Log);
        using var freed = FreedMemory.ReturnAbove(opened.ReturnAbove);
        var model = opened.Model;
        var limit = Math.Min(arguments.MaxTokens, positions - prompt.Length);
        var settings = new GenerationSettings(limit, arguments.Temperature, session.Seed ?? 0);
        var stops = tokenizer.StopIds(checkpoint.Config.EosTokenIds);
        var tokens = Generation.Continue(model, [prompt], settings, stops, tokenizer.PadId ?? 0, cancellation: session.Cancellation)[0];
        // Decoded together with the prompt, since a space that begins a continuation is part of its first token.
        var (start, whole) = (
            tokenizer.Decode(prompt, skipSpecialTokens: true),
            tokenizer.Decode([.. prompt, .. tokens], skipSpecialTokens: true)
        );
        var text = whole.StartsWith(start, StringComparison.Ordinal)
            ? whole[start.Length..]
            : tokenizer.Decode(tokens, skipSpecialTokens: true);
        return new GeneratedText(name, prompt, tokens, text, tokens.Length < limit ? "end token" : "length", prompts.IsChat);
    }

    internal static void Show(IAnsiConsole console, GenerateResult result)
    {
        if (result.Texts is [var only])
        {
            console.Profile.Out.Writer.WriteLine(only.IsChat ? only.Text : result.Prompt + only.Text);
            return;
        }
        console.Profile.Out.Writer.WriteLine(result.Prompt);
        var table = new Table().Border(TableBorder.Rounded).Expand();
        foreach (var text in result.Texts) table.AddColumn(new TableColumn(new Text(text.Model)));
        table.AddRow(result.Texts.Select(t => new Text(t.Text.Trim())));
        console.Write(table);
    }
}

/// <summary>The arguments of <c>generate</c>; <paramref name="Form"/> lays the options over a form.</summary>
internal sealed record GenerateArguments(
    string Model,
    string Prompt,
    int MaxTokens,
    double Temperature,
    string? Compare,
    Func<PromptForm, PromptForm> Form,
    string? Adapter
);

/// <summary>The result of <c>generate</c>: what the first model wrote, and one text for each model, in the given order.</summary>
internal sealed record GenerateResult(
    string Prompt,
    IReadOnlyList<int> PromptTokens,
    IReadOnlyList<int> Tokens,
    string Text,
    string Stop,
    IReadOnlyList<GeneratedText> Texts
);

/// <summary>A model's text, without the prompt; it ended with an end token, which is no part of it, or at the length limit.</summary>
internal sealed record GeneratedText(
    string Model,
    IReadOnlyList<int> PromptTokens,
    IReadOnlyList<int> Tokens,
    string Text,
    string Stop,
    bool IsChat
);
