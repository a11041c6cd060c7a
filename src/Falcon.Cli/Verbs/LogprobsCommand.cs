using System.CommandLine;
using System.Globalization;
using Falcon.Runs.Evaluating;
using Spectre.Console;

namespace Falcon.Cli.Verbs;

/// <summary><c>falcon logprobs</c>: the numbers of a model for texts, to compare with another program's.</summary>
internal static class LogprobsCommand
{
    public static Command Create(SessionStart start)
    {
        var command = new Verb(
            "logprobs",
            "Write what a model computes for texts as a safetensors file, to compare with other tools: for text i (from 0) its token ids "
                + "input_ids_i, the log-probability of each token given those before it token_logprob_i, and with --logits logits_i.",
            "logprobs --model models/my-model --data texts.jsonl --logits last --out runs/logprobs.safetensors"
        );
        var model = InspectCommand.ModelOption();
        var adapter = InspectCommand.AdapterOption();
        var data = new Option<string>("--data")
        {
            Description =
                "File of texts (.txt, or text in .jsonl, .json, .csv, .parquet), or of rows with input_ids, which need no tokenizer.",
            HelpName = "FILE",
            Required = true,
        };
        var logits = new Option<string>("--logits")
        {
            Description = "Also write the logits: last for those after the last token of a text, all for those after every token.",
            HelpName = "last|all",
        };
        logits.AcceptOneOf("last", "all");
        var field = new Option<string?>("--field") { Description = "Other names of fields, such as text=body.", HelpName = "NAMES" };
        var memoryLimit = OptionParsing.Bytes(
            "--memory-limit",
            "Resident memory that the model may take, such as 4GB; a model that does not fit is read layer by layer. The default is what "
                + "the machine has to spare."
        );
        var destination = new Option<string>("--out")
        {
            Description = "The safetensors file to write, whole or not at all; an existing one is replaced.",
            HelpName = "FILE",
            Required = true,
        };
        foreach (var option in new Option[] { model, adapter, data, logits, field, memoryLimit, destination }) command.Add(option);
        var common = new CommonOptions(command);
        command.SetAction(parsed =>
        {
            using var session = start(parsed, common);
            var settings = new LogprobsSettings(
                session.Model(parsed.GetRequiredValue(model), parsed.GetValue(adapter)),
                parsed.GetRequiredValue(data),
                parsed.GetRequiredValue(destination)
            )
            {
                Logits = parsed.GetValue(logits) switch
                {
                    "last" => LogitsKept.Last,
                    "all" => LogitsKept.All,
                    _ => LogitsKept.None,
                },
                Fields = parsed.GetValue(field),
            };
            return session.Finish(
                LogprobsRun.Execute(settings, session.Context with { MemoryLimit = parsed.GetValue(memoryLimit) }),
                Show
            );
        });
        return command;
    }

    private static void Show(IAnsiConsole console, LogprobsRecord result) =>
        console.WriteLine(
            string.Create(
                CultureInfo.InvariantCulture,
                $"{result.Out}: {result.Texts:N0} texts, {result.Tokens:N0} tokens, log-likelihood {result.LogLikelihood:0.####}"
                    + $"{(result.TokenPerplexity is { } value ? $", perplexity per token {value:0.####}" : "")}, logits {result.Logits}"
            )
        );
}
