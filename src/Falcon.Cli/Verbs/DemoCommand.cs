using System.CommandLine;
using Falcon.Data;
using Falcon.Methods;
using Falcon.Reporting;
using Falcon.Results;
using Falcon.Runs;
using Falcon.Runs.Attacking;
using Falcon.Runs.Configuration;
using Falcon.Runtime;
using Spectre.Console;

namespace Falcon.Cli.Verbs;

/// <summary><c>falcon demo</c>: a whole unlearning run on the model and data of the repository.</summary>
internal static class DemoCommand
{
    private const ulong DataSeed = 42;

    public static Command Create(SessionStart start)
    {
        var command = new Verb(
            "demo",
            "Unlearn on the model and data of this repository: analyse, unlearn, evaluate before and after, try to recover the knowledge, "
                + "write a report.",
            "demo",
            "demo --out runs/demo --json"
        );
        var destination = new Option<string?>("--out")
        {
            Description = "Directory for the run and its report.html; the default is runs/demo, or runs/demo-2 and so on if it exists.",
            HelpName = "DIR",
        };
        var data = new Option<string?>("--write-data")
        {
            Description = "Only write the demo's questions and texts, generated from --seed (default 42), to this directory.",
            HelpName = "DIR",
        };
        var resume = new Option<bool>("--resume") { Description = "Continue the interrupted demo of the same --out, or the latest one." };
        command.Add(destination);
        command.Add(data);
        command.Add(resume);
        var noAttacks = new Option<bool>("--no-attacks") { Description = "Leave out the recovery attacks at the end." };
        command.Add(noAttacks);
        var common = new CommonOptions(command);
        command.SetAction(parsed =>
        {
            using var session = start(parsed, common);
            if (parsed.GetValue(data) is { } directory)
            {
                DemoWorld.Write(directory, (ulong?)session.Seed ?? DataSeed);
                return session.Finish(new DataResult(Path.GetFullPath(directory)), (console, result) =>
                    console.WriteLine(result.Directory)
                );
            }

            var resumed = parsed.GetValue(resume);
            return session.Finish(
                Execute(
                    parsed.GetValue(destination) ?? (resumed ? InterruptedDirectory() : FreeDirectory()),
                    resumed,
                    !parsed.GetValue(noAttacks),
                    session
                ),
                Show
            );
        });
        return command;
    }

    // A second demo must not fail because the first one exists.
    private static string FreeDirectory() =>
        Directories().First(path => !Path.Exists(path) && !Path.Exists(path + RunDirectory.WorkingSuffix));

    private static string InterruptedDirectory() =>
        Directories()
            .Take(1000)
            .LastOrDefault(path =>
                Path.Exists(path + RunDirectory.WorkingSuffix) || Path.Exists(AttacksOf(path) + RunDirectory.WorkingSuffix)
            )
        ?? Directories().First();

    private static string AttacksOf(string outDirectory) => Path.Combine(outDirectory, RunFiles.AttacksFolder);

    private static IEnumerable<string> Directories() =>
        Enumerable.Range(1, int.MaxValue).Select(i => Path.Combine("runs", i == 1 ? "demo" : $"demo-{i}"));

    private static DemoResult Execute(string outDirectory, bool resume, bool attack, CommandSession session)
    {
        var config = Configuration(session.Seed);
        // An interruption during the attacks leaves a finished run.
        var run =
            resume && File.Exists(Path.Combine(outDirectory, "run.json"))
                ? RunFiles.ReadRecord(outDirectory)
                : UnlearnRun.Execute(config, outDirectory, resume, session.Context);
        var attacks = attack ? AttackRun.Execute(AttacksOn(config, outDirectory), session.Context) : null;
        var report = Path.GetFullPath(Path.Combine(outDirectory, "report.html"));
        OutputFile.Write(report, HtmlReport.Render([RunFiles.ReadReport(outDirectory)]));
        return DemoResult.Of(run, report, attacks);
    }

    /// <summary>Attacks of every tier, which together take about as long as the run.</summary>
    internal static AttackRunSettings AttacksOn(UnlearnConfig config, string outDirectory)
    {
        var data = Path.GetDirectoryName(config.Data.Forget[0])!;
        string At(string name) => Path.Combine(data, name);
        return new AttackRunSettings(
            Path.Combine(outDirectory, "model"),
            config.Model,
            [.. config.Evaluation.Probes.Where(probe => probe.Group == ScoreGroup.Forget).Select(probe => probe.Data)],
            AttacksOf(outDirectory)
        )
        {
            Control = Path.Combine(Path.GetDirectoryName(config.Model)!, "control"),
            Attacks =
            [
                "paraphrases",
                "logit-lens",
                "linear-probes",
                "orthogonalization",
                "norm-clipping",
                "quantization",
                "set-difference-pruning",
                "gcg",
                "soft-prompt",
                "relearning-forget",
                "relearning-benign",
            ],
            Forget = config.Data.Forget,
            Retain = [At("retain-alchemy.jsonl"), At("retain-ciphers.jsonl")],
            Utility = [At("general-mcq.jsonl")],
            Texts = [At("text.txt")],
            Budget = AttackBudget.Quick,
            Seed = config.Seed,
        };
    }

    /// <summary>The demo's run file with its paths, which are relative to the folder that holds <c>demo</c>, made absolute.</summary>
    internal static UnlearnConfig Configuration(int? seed)
    {
        var root = AppContext.BaseDirectory;
        var file = Path.Combine(root, "demo", "unlearn.jsonc");
        if (!File.Exists(file))
            throw new UserInputException(
                $"{file}: the demo's files are not beside the program. Run ./falcon from a clone of the repository, or rebuild it."
            );
        string Absolute(string path) => Path.GetFullPath(Path.Combine(root, path));
        var config = ConfigFile.Read(file, [], UnlearnConfig.Of(MethodCatalog.Default.Name));
        return config with
        {
            Model = Absolute(config.Model),
            Seed = (ulong?)seed ?? config.Seed,
            Data = config.Data with
            {
                Forget = [.. config.Data.Forget.Select(Absolute)],
                Retain = [.. config.Data.Retain.Select(Absolute)],
            },
            Evaluation = config.Evaluation with
            {
                Control = config.Evaluation.Control is { } control ? Absolute(control) : null,
                Probes = [.. config.Evaluation.Probes.Select(probe => probe with { Data = Absolute(probe.Data) })],
            },
        };
    }

    private static void Show(IAnsiConsole console, DemoResult result)
    {
        ScoreTable.Show(console, result.Run);
        if (result.Attacks is { } attacks)
        {
            console.Write(new Rule("Can it be brought back?").LeftJustified());
            AttackCommand.Show(console, attacks);
            console.WriteLine(AttackSection.Sentence(attacks));
        }

        console.WriteLine($"Report: {result.Report}");
    }
}

/// <summary>The result of <c>demo</c>.</summary>
/// <param name="Forget">Multiple-choice accuracy of each forget domain.</param>
/// <param name="Retain">Multiple-choice accuracy on neighbouring knowledge.</param>
/// <param name="General">Multiple-choice accuracy on general facts.</param>
/// <param name="Perplexity">Perplexity on plain text.</param>
/// <param name="Seconds">Wall-clock time.</param>
/// <param name="Report">The path of the HTML report.</param>
/// <param name="Run">The record of the run.</param>
/// <param name="Attacks">The recovery attacks; null with <c>--no-attacks</c>.</param>
internal sealed record DemoResult(
    IReadOnlyList<DemoDomain> Forget,
    DemoChange Retain,
    DemoChange General,
    DemoChange Perplexity,
    double Seconds,
    string Report,
    RunRecord Run,
    AttackResult? Attacks
)
{
    public static DemoResult Of(RunRecord run, string report, AttackResult? attacks)
    {
        DemoChange Change(Func<ScoreRow, bool> choose) =>
            run.Scores.First(choose) is var row ? new DemoChange(row.Before, row.After, row.Control) : null!;
        return new DemoResult(
            [
                .. run
                    .Scores.Where(row => row.Group == ScoreGroup.Forget)
                    .Select(row => new DemoDomain(row.Name, row.Before, row.After, row.Control)),
            ],
            Change(row => row.Group == ScoreGroup.Retain && row.Unit == "percent"),
            Change(row => row.Group == ScoreGroup.General && row.Unit == "percent"),
            Change(row => row.Unit == "number"),
            run.Seconds, report, run, attacks);
    }
}

/// <summary>A forget domain before and after, with the never-taught control.</summary>
internal sealed record DemoDomain(string Domain, MetricValue Before, MetricValue After, MetricValue? Control);

/// <summary>A score before and after, with the never-taught control.</summary>
internal sealed record DemoChange(MetricValue Before, MetricValue After, MetricValue? Control);

/// <summary>Where the demo's data was written.</summary>
internal sealed record DataResult(string Directory);
