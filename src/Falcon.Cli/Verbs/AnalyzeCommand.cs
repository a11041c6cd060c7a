using System.CommandLine;
using System.Globalization;
using Falcon.Data;
using Falcon.Reporting;
using Falcon.Results;
using Falcon.Runs;
using Falcon.Runs.Configuration;
using Falcon.Runtime;
using Spectre.Console;

namespace Falcon.Cli.Verbs;

/// <summary><c>falcon analyze</c>: finds the layer that separates forget and retain knowledge best.</summary>
internal static class AnalyzeCommand
{
    public static Command Create(SessionStart start)
    {
        var command = new Verb(
            "analyze",
            "Estimate the mutual information of forget and retain hidden states in every layer and choose the layer to unlearn at; "
                + "writes layers.json and a chart.",
            "analyze --model models/my-model --forget forget.jsonl --retain retain.jsonl --out runs/layers"
        );
        var corpus = new CorpusOptions(command);
        var layers = OptionParsing.Layers("--layers", "Only these layers, counted from 0.");
        var samples = OptionParsing.Integer("--samples", "Texts of each set for the estimate.", least: 2);
        var eta = OptionParsing.Number("--eta", "Weight of the mutual information between forget domains, if there are several.", "X");
        var memoryLimit = OptionParsing.Bytes(
            "--memory-limit",
            "Most resident memory, such as 4GB; a model that does not fit is read layer by layer. "
                + "The default is most of the available memory."
        );
        var destination = UnlearnCommand.OutOption();
        foreach (var option in new Option[] { layers, samples, eta, memoryLimit, destination }) command.Add(option);
        var form = new FormOptions(command);
        var common = new CommonOptions(command);
        command.SetAction(parsed =>
        {
            using var session = start(parsed, common);
            var arguments = new AnalyzeArguments(
                parsed.GetRequiredValue(corpus.Model),
                parsed.GetRequiredValue(corpus.Forget),
                parsed.GetRequiredValue(corpus.Retain),
                parsed.GetValue(corpus.Field),
                parsed.GetValue(layers),
                parsed.GetValue(samples),
                parsed.GetValue(eta),
                parsed.GetRequiredValue(destination),
                parsed.GetValue(memoryLimit),
                parsed.GetValue(corpus.Adapter)
            );
            return session.Finish(Execute(arguments, form.Over(new PromptForm(), parsed), session), Show);
        });
        return command;
    }

    private static AnalyzeResult Execute(AnalyzeArguments arguments, PromptForm form, CommandSession session)
    {
        var config = new AnalyzeConfig
        {
            Model = arguments.Model,
            Adapter = arguments.Adapter,
            Data = new DataSettings
            {
                Forget = arguments.Forget,
                Retain = arguments.Retain,
                Fields = arguments.Field,
                PromptForm = form,
            },
            FirstLayer = arguments.Layers?.First,
            LastLayer = arguments.Layers?.Last,
            Seed = (ulong)(session.Seed ?? 0),
        };
        config = config with { Samples = arguments.Samples ?? config.Samples, Eta = arguments.Eta ?? config.Eta };
        config.Validate();
        using var directory = RunDirectory.Create(arguments.Out);
        var analysis = AnalyzeRun.Execute(
            config,
            directory,
            session.Context with { MemoryLimit = arguments.MemoryLimit },
            session.Model(arguments.Model, arguments.Adapter)
        );
        File.WriteAllText(
            directory.PathOf("layers.svg"),
            SvgChart.Layers("Mutual information of forget and retain activations", analysis.Layers, standalone: true)
        );
        directory.Commit();
        return new AnalyzeResult(
            analysis.Layers,
            analysis.SelectedLayer,
            analysis.Candidates,
            analysis.IntervalsOverlap,
            analysis.Samples,
            directory.FinalPath
        );
    }

    internal static void Show(IAnsiConsole console, AnalyzeResult result)
    {
        var table = new Table().Border(TableBorder.Rounded).AddColumns("layer", "mutual information", "95 % interval", "normalised", "");
        foreach (var column in table.Columns.Take(4)) column.RightAligned();
        foreach (var layer in result.Layers)
            table.AddRow(
                layer.Layer.ToString(CultureInfo.InvariantCulture),
                layer.MutualInformation is { } information ? information.ToString("0.0000", CultureInfo.InvariantCulture) : "failed",
                layer is { Low: { } low, High: { } high }
                    ? string.Create(CultureInfo.InvariantCulture, $"{low:0.0000} to {high:0.0000}")
                    : "",
                layer.Normalized?.ToString("0.00", CultureInfo.InvariantCulture) ?? "",
                Markup.Escape(layer.Note + (layer.Selected ? ", chosen" : "")));
        console.Write(table);
        if (result.Layers.Any(layer => layer.MutualInformation is null))
            console.WriteLine("Layers with a failed estimate are excluded from the choice.");
        if (result.IntervalsOverlap == true)
            console.WriteLine("The intervals of the two best layers overlap: the data do not decide between them.");
        console.WriteLine(result.Out);
    }
}

/// <summary>The arguments of <c>analyze</c>; null means the default of the configuration.</summary>
internal sealed record AnalyzeArguments(
    string Model,
    IReadOnlyList<string> Forget,
    IReadOnlyList<string> Retain,
    string? Field,
    LayerRange? Layers,
    int? Samples,
    double? Eta,
    string Out,
    long? MemoryLimit = null,
    string? Adapter = null
);

/// <summary>The result of <c>analyze</c>.</summary>
internal sealed record AnalyzeResult(
    IReadOnlyList<LayerScore> Layers,
    int SelectedLayer,
    IReadOnlyList<int> Candidates,
    bool? IntervalsOverlap,
    int Samples,
    string Out
);
