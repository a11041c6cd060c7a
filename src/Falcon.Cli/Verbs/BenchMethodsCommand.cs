using System.CommandLine;
using Falcon.Research.League;

namespace Falcon.Cli.Verbs;

/// <summary><c>falcon bench methods</c>: the league table of methods under one rule.</summary>
internal static class BenchMethodsCommand
{
    public static Command Create(SessionStart start)
    {
        var command = new Verb(
            "methods",
            "A league table of methods under one rule: equal texts, steps and trials, settings chosen on one half of the questions, "
                + "scored once a seed on the other. Writes league.json, league.md and a directory for each run; the same command "
                + "continues where it stopped.",
            "bench methods --suite demo --methods falcon,npo,rmu --trials 4 --seeds 2 --out runs/league",
            "bench methods --suite tofu --model models/tofu-full --reference models/tofu-retain90 --data data/tofu --out runs/league-tofu");
        var defaults = new LeagueSettings("demo", [], "");
        var suite = new Option<string>("--suite")
        {
            Description = "tofu, or demo (the model and data that come with the program).",
            HelpName = string.Join('|', LeagueBenchmark.Suites),
            Required = true,
        };
        var methods = OptionParsing.List(
            "--methods",
            "Methods and presets, separated by commas; the default is all but falcon-rebuild and falcon-anew, whose trials take minutes: "
                + $"{string.Join(", ", LeagueBenchmark.Entrants)}.",
            "NAMES"
        );
        var trials = OptionParsing.Integer(
            "--trials",
            $"Settings tried for each method on the development split, at most {LeagueBenchmark.LargestTrials}; the default is "
                + $"{defaults.Trials}.",
            least: 1
        );
        var seeds = OptionParsing.Integer(
            "--seeds",
            $"Runs of the chosen settings that are scored on the test split; the default is {defaults.Seeds}.",
            least: 1
        );
        var steps = OptionParsing.Integer("--steps", $"Steps of every run; the default is {defaults.Steps}.", least: 1);
        var seedsOfBest = OptionParsing.Integer(
            "--seeds-of-best",
            $"The same for FALCON and the best three others; the default is {defaults.SeedsOfBest}.",
            least: 1
        );
        var snapshots = OptionParsing.Integer(
            "--snapshots",
            $"Numbers of steps, evenly spaced up to the end, at which every trial is scored; the default is {defaults.Snapshots}.",
            least: 1
        );
        var model = new Option<string>("--model")
        {
            Description = "tofu: the model that was taught everything.",
            HelpName = "DIR",
            DefaultValueFactory = _ => "",
        };
        var reference = new Option<string>("--reference")
        {
            Description = "tofu: the directory of a model that never saw the forget set.",
            HelpName = "DIR",
            DefaultValueFactory = _ => "",
        };
        var secondReference = new Option<string>("--second-reference")
        {
            Description = "tofu: the directory of another such model; its forget quality against the first is the ceiling.",
            HelpName = "DIR",
            DefaultValueFactory = _ => "",
        };
        var data = new Option<string>("--data")
        {
            Description = "tofu: the directory with TOFU's files.",
            HelpName = "DIR",
            DefaultValueFactory = _ => "",
        };
        var split = new Option<string>("--forget-split")
        {
            Description = "tofu: which forget set.",
            HelpName = "forget10",
            DefaultValueFactory = _ => defaults.ForgetSplit,
        };
        var rouge = OptionParsing.Integer(
            "--rouge-samples",
            $"tofu: questions of a set that are answered for ROUGE-L, 0 for all; the default is {defaults.RougeSamples}.",
            least: 0
        );
        var destination = new Option<string>("--out")
        {
            Description = "Directory of the table and its cells; what it holds is used again.",
            HelpName = "DIR",
            Required = true,
        };
        suite.AcceptOneOf([.. LeagueBenchmark.Suites]);
        foreach (
            var option in new Option[]
            {
                suite,
                methods,
                trials,
                seeds,
                seedsOfBest,
                steps,
                snapshots,
                model,
                reference,
                secondReference,
                data,
                split,
                rouge,
                destination,
            }
        )
            command.Add(option);
        var common = new CommonOptions(command);
        command.SetAction(parsed =>
        {
            using var session = start(parsed, common);
            var names = parsed.GetValue(methods);
            var settings = new LeagueSettings(
                parsed.GetRequiredValue(suite),
                names is { Length: > 0 } ? names : LeagueBenchmark.UsualEntrants,
                parsed.GetRequiredValue(destination)
            )
            {
                Trials = parsed.GetValue(trials) ?? defaults.Trials,
                Seeds = parsed.GetValue(seeds) ?? defaults.Seeds,
                SeedsOfBest = parsed.GetValue(seedsOfBest) ?? defaults.SeedsOfBest,
                Snapshots = parsed.GetValue(snapshots) ?? defaults.Snapshots,
                SecondReference = session.Model(parsed.GetValue(secondReference)!),
                Steps = parsed.GetValue(steps) ?? defaults.Steps,
                Model = session.Model(parsed.GetValue(model)!),
                Reference = session.Model(parsed.GetValue(reference)!),
                Data = parsed.GetValue(data)!,
                ForgetSplit = parsed.GetValue(split)!,
                RougeSamples = parsed.GetValue(rouge) ?? defaults.RougeSamples,
            };
            var demo = settings.Suite == "demo" ? DemoCommand.Configuration(seed: 0) : null;
            return session.Finish(LeagueBenchmark.Execute(settings, demo, session.Context), (console, result) =>
                console.Profile.Out.Writer.Write(result.Markdown())
            );
        });
        return command;
    }
}
