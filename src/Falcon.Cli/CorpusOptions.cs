using System.CommandLine;

namespace Falcon.Cli;

/// <summary>The model and the forget and retain files of <c>analyze</c> and <c>unlearn</c>.</summary>
internal sealed class CorpusOptions
{
    /// <summary>Adds the options to the command.</summary>
    /// <param name="command">The verb.</param>
    /// <param name="required">Whether model and files must be given; otherwise a run file may name them.</param>
    public CorpusOptions(Command command, bool required = true)
    {
        Model = new Option<string>("--model")
        {
            Description = "Hugging Face model directory (config.json, safetensors, tokenizer.json).",
            HelpName = "DIR",
            Required = required,
        };
        Forget = OptionParsing.List(
            "--forget",
            "What to forget: .jsonl, .json, .csv, .parquet or .txt; one file a domain, separated by commas.",
            "FILES",
            required
        );
        Retain = OptionParsing.List(
            "--retain",
            "What to keep: one file for all domains, or one a domain in the same order; several for a single domain count as one.",
            "FILES",
            required
        );
        foreach (var option in new Option[] { Model, Forget, Retain, Field })
            command.Add(option);
    }

    public Option<string> Model { get; }

    public Option<string[]> Forget { get; }

    public Option<string[]> Retain { get; }

    public Option<string?> Field { get; } =
        new("--field")
        {
            Description = "Name of the text field where it is not question/answer, prompt/completion, messages or text.",
            HelpName = "NAME",
        };
}
