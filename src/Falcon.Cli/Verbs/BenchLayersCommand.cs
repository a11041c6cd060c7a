using System.CommandLine;
using Falcon.Data;
using Falcon.Research.Layers;

namespace Falcon.Cli.Verbs;

/// <summary><c>falcon bench layers</c>: does the mutual information of a layer foretell what unlearning at it costs?</summary>
internal static class BenchLayersCommand
{
    public static Command Create(SessionStart start)
    {
        var command = new Verb(
            "layers",
            "The mutual information of every layer beside a measured trade-off: a short trial at that layer alone, compared at equal "
                + "damage to the retain set; with rank correlations. Writes layers.json and layers.md.",
            "bench layers --model demo/model --forget forget.jsonl --retain retain.jsonl --out bench/layers"
        );
        var corpus = new CorpusOptions(command);
        var defaults = new LayerBenchmarkSettings("", new DataSettings(), "");
        var seeds = OptionParsing.Integer(
            "--seeds",
            $"Repetitions with other texts, batches and offset vectors; the default is {defaults.Seeds}.",
            least: 1
        );
        var steps = OptionParsing.Integer("--steps", $"Steps of a trial; the default is {defaults.Steps}.", least: 1);
        var trained = OptionParsing.Integer(
            "--trained",
            $"Layers that a trial trains, the target and those right below it; the default is {defaults.Trained}, so that every layer has "
                + $"the same number of parameters.",
            least: 1
        );
        var damage = OptionParsing.Number(
            "--damage",
            $"Rise of the retain answers' loss, in nats a token, at which forgetting is compared; the default is {defaults.Damage}.",
            "NATS"
        );
        var destination = new Option<string>("--out")
        {
            Description = "Folder of layers.json and layers.md; it may exist.",
            HelpName = "DIR",
            Required = true,
        };
        foreach (var option in new Option[] { seeds, steps, trained, damage, destination })
            command.Add(option);
        var common = new CommonOptions(command);
        command.SetAction(parsed =>
        {
            using var session = start(parsed, common);
            var data = new DataSettings
            {
                Forget = parsed.GetRequiredValue(corpus.Forget),
                Retain = parsed.GetRequiredValue(corpus.Retain),
                Fields = parsed.GetValue(corpus.Field),
            };
            var settings = new LayerBenchmarkSettings(parsed.GetRequiredValue(corpus.Model), data, parsed.GetRequiredValue(destination))
            {
                Seeds = parsed.GetValue(seeds) ?? defaults.Seeds,
                Steps = parsed.GetValue(steps) ?? defaults.Steps,
                Trained = parsed.GetValue(trained) ?? defaults.Trained,
                Damage = parsed.GetValue(damage) ?? defaults.Damage,
            };
            return session.Finish(LayerBenchmark.Execute(settings, session.Context), (console, result) =>
                console.Profile.Out.Writer.Write(result.Markdown())
            );
        });
        return command;
    }
}
