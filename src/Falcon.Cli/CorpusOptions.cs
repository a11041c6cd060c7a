using System.CommandLine;
using Falcon.Cli.Verbs;

namespace Falcon.Cli;

/// <summary>The model and the forget and retain files of <c>analyze</c> and <c>unlearn</c>.</summary>
internal sealed class CorpusOptions
{
    /// <summary>Adds the options to the command.</summary>
    /// <param name="command">The verb.</param>
    /// <param name="required">Whether model and files are required; otherwise a run file may name them.</param>
    public CorpusOptions(Command command, bool required = true)
    {
        Model = InspectCommand.ModelOption(required);
        Forget = OptionParsing.List(
            "--forget",
            "Forget set: .jsonl, .json, .csv, .parquet or .txt files, one for each domain, separated by commas.",
            "FILES",
            required
        );
        Retain = OptionParsing.List(
            "--retain",
            "Retain set: one file for all domains, or one for each domain in the same order; several files for a single domain are joined.",
            "FILES",
            required
        );
        foreach (var option in new Option[] { Model, Adapter, Forget, Retain, Field })
            command.Add(option);
    }

    public Option<string> Model { get; }

    public Option<string?> Adapter { get; } = InspectCommand.AdapterOption();

    public Option<string[]> Forget { get; }

    public Option<string[]> Retain { get; }

    public Option<string?> Field { get; } =
        new("--field")
        {
            Description = "Name of the text field where it is not question/answer, prompt/completion, messages or text.",
            HelpName = "NAME",
        };
}
