using System.Text.Json;
using Falcon.Data;
using Falcon.Evaluation;
using Falcon.Layers;
using Falcon.Methods;
using Falcon.Optimization;
using Falcon.Research.League;
using Falcon.Results;
using Falcon.Runs.Configuration;
using Falcon.Runs.Training;
using Falcon.Runtime;

namespace Falcon.Tests.Research.League;

/// <summary>The league on a tiny random model, end to end.</summary>
public sealed class LeagueBenchmarkTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Execute_Tofu_FillsTheTableAndUsesFinishedCellsAgain()
    {
        var settings = Tofu();

        var result = LeagueBenchmark.Execute(settings, null, RunContext.Quiet);

        Assert.Equal(["grad-diff", "rmu", "ssd"], result.Rows.Select(row => row.Method).Order());
        // Two trials, scored twice each; ssd has no steps and so one score a trial.
        Assert.All(result.Rows, row => Assert.Equal(row.Method == "ssd" ? 2 : 4, row.Scored));
        Assert.All(result.Rows, row => Assert.Equal(row.Kept == 0, row.ForgetQuality is null));
        // With a floor of 0 every run is kept; the chosen one is scored with both seeds.
        var kept = Assert.Single(result.Rows, row => row.Method == "rmu");
        Assert.InRange(kept.ForgetQuality!.Value, kept.ForgetQualitySpread!.Low, kept.ForgetQualitySpread.High);
        Assert.InRange(kept.ForgetQuality.Value, 0, 1);
        using (var json = JsonDocument.Parse(File.ReadAllText(_folder.At("league", "league.json"))))
            Assert.Equal(
                "rmu",
                json.RootElement.GetProperty("rows")
                    .EnumerateArray()
                    .Select(row => row.GetProperty("method").GetString())
                    .First(name => name == "rmu")
            );
        Assert.Contains(settings.Command(), File.ReadAllText(_folder.At("league", "league.md")), StringComparison.Ordinal);
        Assert.Equal(2, kept.Seeds);
        Assert.Equal(1, result.Rows.Single(row => row.Method == "ssd").Seeds); // nothing in it is left to chance
        Assert.NotNull(result.Ceiling);

        // A deleted cell is made anew with the same score; the others are not touched.
        var (again, other) = (_folder.At("league", "rmu", "trial-0", "cell.json"), _folder.At("league", "rmu", "trial-1", "cell.json"));
        var (score, time) = (Score(again), File.GetLastWriteTimeUtc(other));
        Directory.Delete(_folder.At("league", "rmu", "trial-0"), recursive: true);
        var second = LeagueBenchmark.Execute(settings, null, RunContext.Quiet);
        Assert.Equal(score, Score(again));
        Assert.Equal(time, File.GetLastWriteTimeUtc(other));
        Assert.Equal(result.Markdown(), second.Markdown());

        // Other settings are refused instead of being mixed in.
        Assert.Contains(
            "other settings",
            Assert.Throws<UserInputException>(() => LeagueBenchmark.Execute(settings with { Steps = 3 }, null, RunContext.Quiet)).Message,
            StringComparison.Ordinal
        );
    }

    [Fact]
    public void Execute_Demo_ScoresMultipleChoice()
    {
        string Probe(string name) =>
            Write(
                name,
                i => new
                {
                    question = $"What is {name} {i}?",
                    answer = $"It is {i}.",
                    perturbed_answer = new[] { $"It is {i + 1}.", $"It is {i + 5}." },
                },
                12
            );
        var run = UnlearnConfig.FromPreset("falcon") with
        {
            Model = TinyCheckpoint.Write(_folder.At("model")),
            Data = new DataSettings
            {
                Forget = [TinyCheckpoint.Questions(_folder.At("f.jsonl"), "forgotten")],
                Retain = [TinyCheckpoint.Questions(_folder.At("r.jsonl"), "kept")],
                BatchSize = 2,
            },
            Layers = new LayerSettings { Target = 2, Trained = 2 },
            Evaluation = new EvaluationConfig
            {
                Probes =
                [
                    new ProbeConfig
                    {
                        Name = "forget",
                        Group = ScoreGroup.Forget,
                        Data = Probe("forgotten"),
                        Metric = ProbeMetric.MultipleChoice,
                    },
                    new ProbeConfig
                    {
                        Name = "keep",
                        Group = ScoreGroup.Retain,
                        Data = Probe("kept"),
                        Metric = ProbeMetric.MultipleChoice,
                    },
                ],
            },
        };

        var result = LeagueBenchmark.Execute(
            new LeagueSettings("demo", ["falcon"], _folder.At("league"))
            {
                Trials = 1,
                Seeds = 1,
                SeedsOfBest = 1,
                Steps = 2,
                Snapshots = 1,
                UtilityFloor = 0,
            },
            run,
            RunContext.Quiet
        );

        var row = Assert.Single(result.Rows);
        Assert.Equal(1 - row.Answers!.Value, row.ForgetQuality!.Value, 1e-12);
        Assert.Equal("falcon", row.Preset);
    }

    [Fact]
    public void Splits_AreDisjointAndWhole()
    {
        LeagueBenchmark.Execute(Tofu() with { Methods = ["ssd"], Trials = 1, Seeds = 1, SeedsOfBest = 1 }, null, RunContext.Quiet);
        var halves = new[] { "dev", "test" }
            .Select(split =>
                Corpus.Read(_folder.At("league", "data", split, "forget10_perturbed.jsonl")).Select(record => record.Question!).ToList()
            )
            .ToList();

        Assert.Empty(halves[0].Intersect(halves[1]));
        Assert.Equal(Corpus.Read(_folder.At("tofu", "forget10_perturbed.jsonl")).Count, halves[0].Count + halves[1].Count);
        Assert.All(halves[0], question => Assert.True(LeagueSuite.IsDev(question)));
    }

    public static TheoryData<string> Names => [.. LeagueBenchmark.Entrants];

    [Theory, MemberData(nameof(Names))]
    public void TrialGrid_EveryTrial_IsValidAndDifferent(string method)
    {
        var entrant = LeagueEntrant.Find(method);
        var start = entrant.Settings();
        var config = start with { Model = "m", Data = start.Data with { Forget = ["f"], Retain = ["r"] } };
        var trials = Enumerable.Range(0, LeagueEntrant.LargestTrials).Select(trial => entrant.Trial(config, trial)).ToList();

        Assert.Equal(8, LeagueEntrant.LargestTrials);
        Assert.All(trials, trial => trial.Config.Validate());
        Assert.Equal(trials.Count, trials.Select(trial => trial.Text).Distinct().Count());
        Assert.Equal(trials.Count, trials.Select(trial => ConfigFile.Write(trial.Config)).Distinct().Count());
    }

    [Fact]
    public void Entrants_HoldEveryPreset_AndTheUsualOnesThoseThatWriteNoTexts()
    {
        Assert.Equal(MethodCatalog.All.Sum(one => one.Presets.Count), LeagueBenchmark.Entrants.Count);
        foreach (var preset in new[] { "falcon", "falcon-rebuild", "falcon-anew", "paper", "official" })
            Assert.Contains(preset, LeagueBenchmark.Entrants);
        Assert.Equal(["falcon-rebuild", "falcon-anew"], LeagueBenchmark.Entrants.Except(LeagueBenchmark.UsualEntrants));
    }

    private LeagueSettings Tofu()
    {
        var folder = _folder.At("tofu");
        Directory.CreateDirectory(folder);
        TinyCheckpoint.Questions(Path.Combine(folder, "forget10.jsonl"), "forgotten");
        TinyCheckpoint.Questions(Path.Combine(folder, "retain90.jsonl"), "kept");
        foreach (var set in new[] { "forget10", "retain", "real_authors", "world_facts" })
            Write(
                Path.Combine("tofu", set + "_perturbed"),
                i => new
                {
                    question = $"What is {set} {i}?",
                    answer = $"It is {i}.",
                    paraphrased_answer = $"It is {i}.",
                    perturbed_answer = new[] { $"No zebra {i}!", $"Quick {i}?" },
                },
                10
            );
        // Room for the 200 tokens that an answer may take.
        TinyCheckpoint.Edit(TinyCheckpoint.Write(_folder.At("random")), json => json["max_position_embeddings"] = 512);
        var config = new TrainConfig
        {
            StartFrom = _folder.At("random"),
            Data = new TrainDataConfig
            {
                Questions =
                [
                    .. new[] { "forget10", "retain", "real_authors", "world_facts" }.Select(set =>
                        Path.Combine(folder, set + "_perturbed.jsonl")
                    ),
                ],
                BatchSize = 8,
            },
            Optimizer = new OptimizerSettings { LearningRate = 1e-2 },
            Steps = 250,
        };
        TrainRun.Execute(config, _folder.At("model"), RunContext.Quiet); // a model without any utility cannot be compared with
        return new LeagueSettings("tofu", ["rmu", "grad-diff", "ssd"], _folder.At("league"))
        {
            Model = _folder.At("model"),
            Reference = TinyModel.Write(_folder.At("reference"), 5, maxPositions: 512),
            Data = folder,
            SecondReference = TinyModel.Write(_folder.At("second"), 6, maxPositions: 512),
            Trials = 2,
            Seeds = 2,
            SeedsOfBest = 2,
            Steps = 2,
            Snapshots = 2,
            RougeSamples = 0,
            UtilityFloor = 0,
        };
    }

    private string Write(string name, Func<int, object> record, int count)
    {
        var path = _folder.At(name + ".jsonl");
        File.WriteAllLines(path, Enumerable.Range(0, count).Select(i => JsonSerializer.Serialize(record(i))));
        return path;
    }

    private static string Score(string path)
    {
        using var json = JsonDocument.Parse(File.ReadAllText(path));
        return json.RootElement.GetProperty("snapshots").GetRawText();
    }
}
