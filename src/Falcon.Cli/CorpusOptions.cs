using System.CommandLine;

namespace Falcon.Cli;

/// <summary>The model and the forget and retain files of <c>analyze</c> and <c>unlearn</c>.</summary>
internal sealed class CorpusOptions
{
    /// <summary>Adds the options to the command.</summary>
    public CorpusOptions(Command command)
    {
        foreach (var option in new Option[] { Model, Forget, Retain, Field }) command.Add(option);
    }

    public Option<string> Model { get; } = InspectCommand.ModelOption();

    public Option<string[]> Forget { get; } = OptionParsing.List("--forget", "What to forget: .jsonl, .json, .csv, .parquet or .txt; one file a domain, separated by commas.", "FILES", required: true);

    public Option<string[]> Retain { get; } = OptionParsing.List("--retain", "What to keep: one file for all domains, or one a domain in the same order.", "FILES", required: true);

    public Option<string?> Field { get; } = new("--field") { Description = "Name of the text field where it is not question/answer, prompt/completion, messages or text.", HelpName = "NAME" };
}
