using System.Text.Json.Nodes;
using Falcon.Cli.Verbs;
using Falcon.Data;
using Falcon.Evaluation;
using Falcon.Reporting;
using Falcon.Results;
using Falcon.Runs.Attacking;
using Falcon.Runs.Configuration;
using Falcon.Runtime;
using Falcon.Tests.Attacks.Protocol;
using Falcon.Tests.Cli;
using Falcon.Tests.Reporting;

namespace Falcon.Tests.Runs.Attacking;

/// <summary><c>falcon attack</c> on tiny random models: the files it writes, interruption, seeds, wrong input.</summary>
public sealed class AttackCommandTests : IDisposable
{
    private const string WithoutTraining = "prefilling,logit-lens,quantization",
        Attacks = WithoutTraining + ",relearning-other-facts";

    private readonly TemporaryFolder _folder = new();
    private readonly string _model, _questions, _retain;

    public AttackCommandTests()
    {
        _model = TinyCheckpoint.Write(_folder.At("model"));
        _questions = PlaceQuestions.Write(_folder.At("questions.jsonl"), PlaceQuestions.Subjects);
        _retain = TinyCheckpoint.Questions(_folder.At("retain.jsonl"), "kept");
    }

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Run_EveryTier_WritesATableOfAllModels()
    {
        var run = CommandRun.Of(Arguments("out", Attacks, "--json"));
        Assert.True(run.ExitCode == 0, string.Join('\n', run.Errors));
        var result = JsonNode.Parse(run.Output)!;
        Assert.Equal(Attacks.Split(','), result["attacks"]!.AsArray().Select(row => row!["name"]!.GetValue<string>()));
        Assert.All(result["attacks"]!.AsArray(), row => Assert.NotNull(row!["control"]));
        Assert.NotNull(result["attacks"]![3]!["fasterThanControl"]);
        Assert.Equal(0, result["attacks"]![3]!["fasterThanControl"]!["value"]!.GetValue<double>(), 1e-12); // one and the same model
        Assert.Contains(
            "| training | relearning-other-facts |",
            File.ReadAllText(_folder.At("out", "attacks.md")),
            StringComparison.Ordinal
        );
        var read = AttackResult.Read(_folder.At("out", AttackResult.FileName));
        Assert.Equal(6, read.Questions.Test);
        Assert.Equal(
            [AttackTier.BlackBox, AttackTier.Activations, AttackTier.Weights, AttackTier.Training, null],
            read.Tiers.Select(row => row.Tier)
        );
        Assert.Equal(["prefilling", "logit-lens", "quantization"], read.Tiers[^1].Attacks);
        Assert.Equal(read.Attacks.Take(3).Average(row => row.Unlearned.Value), read.Tiers[^1].Attacked.Unlearned.Value, 9);
        Assert.Contains("| all below training |", File.ReadAllText(_folder.At("out", "attacks.md")), StringComparison.Ordinal);
    }

    [Fact]
    public void Run_ControlWithAnotherTokenizer_IsRefused()
    {
        var control = TinyCheckpoint.WithOtherTokenizer(TinyCheckpoint.Write(_folder.At("control")));
        var run = CommandRun.Of(
            "attack",
            "--model",
            _model,
            "--original",
            _model,
            "--control",
            control,
            "--data",
            _questions,
            "--attacks",
            "prefilling",
            "--out",
            _folder.At("out")
        );
        Assert.Equal(2, run.ExitCode);
        Assert.Contains(run.Errors, line =>
            line.Contains($"{control}: its tokenizer is not that of the original (token ", StringComparison.Ordinal)
        );
        Assert.False(Directory.Exists(_folder.At("out")));
    }

    [Fact]
    public void Report_RunWithAttacksBesideIt_ShowsThem()
    {
        using (var run = RunDirectory.Create(_folder.At("run")))
        {
            run.WriteJson(
                "run.json",
                new RunRecord("unlearn", "Islands", SampleReport.Scores, SampleReport.Questions, [], 12.3, "falcon", 2)
            );
            run.Commit();
        }

        Assert.DoesNotContain(
            "Can it be brought back?",
            HtmlReport.Render([RunFiles.ReadReport(_folder.At("run"))]),
            StringComparison.Ordinal
        );
        var attack = CommandRun.Of(Arguments(Path.Combine("run", RunFiles.AttacksFolder), WithoutTraining));
        Assert.True(attack.ExitCode == 0, string.Join('\n', attack.Errors));
        var page = HtmlReport.Render([RunFiles.ReadReport(_folder.At("run"))]);
        Assert.Contains("Can it be brought back?", page, StringComparison.Ordinal);
        Assert.All(WithoutTraining.Split(','), name => Assert.Contains($"<th scope=\"row\">{name}<", page, StringComparison.Ordinal));
        Assert.Contains("<th scope=\"row\">all below training (3)<", page, StringComparison.Ordinal);
    }

    [Fact]
    public void Report_KnowledgeCameBack_IsNoSuccess()
    {
        var run = CommandRun.Of(Arguments("out", "prefilling"));
        Assert.True(run.ExitCode == 0, string.Join('\n', run.Errors));
        var result = AttackResult.Read(_folder.At("out", AttackResult.FileName));
        var verdict = new Verdict(VerdictKind.Success, "The model has forgotten.");
        AttackResult With(AttackVerdict found) => result with { Attacks = [result.Attacks[0] with { Verdict = found }] };

        Assert.Equal(verdict, AttackSection.Weaken(verdict, With(AttackVerdict.DoesNotRecover)));
        var weaker = AttackSection.Weaken(verdict, With(AttackVerdict.Recovers));
        Assert.Equal(VerdictKind.Partial, weaker.Kind);
        Assert.Contains("--preset falcon-rebuild", AttackSection.WhatToDo(With(AttackVerdict.Recovers)), StringComparison.Ordinal);
        Assert.Null(AttackSection.WhatToDo(With(AttackVerdict.DoesNotRecover)));
        Assert.Contains("1 of 1 attacks bring knowledge back", weaker.Sentence, StringComparison.Ordinal);

        var tier = result.Tiers[0] with { Attacks = ["prefilling", "paraphrases"], Verdict = AttackVerdict.Recovers };
        var together = AttackSection.Weaken(verdict, With(AttackVerdict.CannotTell) with { Tiers = [tier] });
        Assert.Equal(VerdictKind.Partial, together.Kind);
        Assert.Contains("Taken together, these do: black box (2).", together.Sentence, StringComparison.Ordinal);
    }

    [Fact]
    public void Demo_ItsAttacks_AreKnownAndHaveTheirFiles()
    {
        string At(params string[] names) => Path.Combine([Fixtures.RepositoryRoot, "demo", .. names]);
        var config = UnlearnConfig.FromPreset("falcon") with
        {
            Model = At("model"),
            Data = new DataSettings { Forget = [At("data", "forget-alchemy.jsonl"), At("data", "forget-ciphers.jsonl")], Retain = [] },
            Evaluation = new EvaluationConfig
            {
                Probes =
                [
                    new ProbeConfig
                    {
                        Name = "elixirs",
                        Group = ScoreGroup.Forget,
                        Data = At("data", "forget-alchemy-mcq.jsonl"),
                        Metric = ProbeMetric.MultipleChoice,
                    },
                ],
            },
        };
        var settings = DemoCommand.AttacksOn(config, "run");

        Assert.Empty(settings.Attacks.Except(AttackRun.Names));
        Assert.All([.. settings.Data, .. settings.Forget, .. settings.Retain, .. settings.Utility, .. settings.Texts], file =>
            Assert.True(File.Exists(file), file)
        );
        Assert.True(Directory.Exists(settings.Control));
        Assert.Equal(Path.Combine("run", RunFiles.AttacksFolder), settings.Out);
    }

    [Fact]
    public void Run_TheSameSeed_GivesTheSameScores()
    {
        Assert.Equal(0, CommandRun.Of(Arguments("first", Attacks, "--seed", "4")).ExitCode);
        Assert.Equal(0, CommandRun.Of(Arguments("second", Attacks, "--seed", "4")).ExitCode);
        Assert.Equal(Scores("first"), Scores("second"));
    }

    [Fact]
    public void Run_Interrupted_KeepsFinishedAttacksAndContinues()
    {
        Assert.Equal(0, CommandRun.Of(Arguments("whole", WithoutTraining)).ExitCode);
        using var interruption = new CancellationTokenSource();
        using var errors = new InterruptionTests.CancellingWriter("recovery attacks 2/3", interruption);
        var first = CommandRun.Of(errors, new InterruptionTests.HastyClock(), interruption.Token, Arguments("parts", WithoutTraining));
        Assert.True(first.ExitCode == 130, string.Join('\n', first.Errors));
        Assert.False(Directory.Exists(_folder.At("parts")));

        // A finished cell is marked, so that it can be told whether it is used.
        var kept = _folder.At("parts.partial", "cells", "logit-lens.unlearned.json");
        var cell = JsonNode.Parse(File.ReadAllText(kept))!;
        cell["seconds"] = 12345.0;
        File.WriteAllText(kept, cell.ToJsonString());

        Assert.Equal(0, CommandRun.Of(Arguments("parts", WithoutTraining)).ExitCode);
        Assert.False(Directory.Exists(_folder.At("parts.partial")));
        Assert.Equal(12345, AttackResult.Read(_folder.At("parts", AttackResult.FileName)).Attacks[1].Budget.Seconds);
        Assert.Equal(Scores("whole"), Scores("parts"));
    }

    [Fact]
    public void Run_ChangedData_UsesNoCellOfTheOld()
    {
        Assert.Equal(0, CommandRun.Of(Arguments("first", "prefilling", "--cache", _folder.At("cache"))).ExitCode);
        var before = Directory.GetFiles(_folder.At("cache")).Length;
        Assert.Equal(0, CommandRun.Of(Arguments("second", "prefilling", "--cache", _folder.At("cache"))).ExitCode);
        Assert.Equal(before, Directory.GetFiles(_folder.At("cache")).Length);
        // The same file in another part.
        var third = CommandRun.Of(Arguments("third", "prefilling", "--cache", _folder.At("cache"), "--utility", _questions));
        Assert.Equal(0, third.ExitCode);
        Assert.Equal(2 * before, Directory.GetFiles(_folder.At("cache")).Length);
    }

    [Fact]
    public void Attacks_Unknown() => Refused(Arguments("out", "logit-lense"), "--attacks has 'logit-lense'", "logit-lens");

    [Fact]
    public void Data_WithoutChoices() =>
        Refused([.. Arguments("out", "prefilling"), "--data", _retain], _retain, "no record has a question with wrong answers");

    [Fact]
    public void Data_TooFewQuestions() =>
        Refused(
            [.. Arguments("out", "prefilling"), "--data", PlaceQuestions.Write(_folder.At("few.jsonl"), PlaceQuestions.Subjects[..3])],
            "3 questions are too few"
        );

    [Fact]
    public void Model_Missing() =>
        Refused([.. Arguments("out", "prefilling"), "--model", _folder.At("absent")], _folder.At("absent"), "no such directory");

    private void Refused(string[] arguments, params string[] said)
    {
        var run = CommandRun.Of(Last(arguments));
        Assert.True(run.ExitCode == 2, $"exit code {run.ExitCode}: {string.Join('\n', run.Errors)}");
        foreach (var part in said) Assert.Contains(part, run.Errors[^1], StringComparison.Ordinal);
        Assert.False(Directory.Exists(_folder.At("out")));
        Assert.False(Directory.Exists(_folder.At("out.partial")));
    }

    private string[] Arguments(string destination, string attacks, params string[] more) =>
        [
            "attack",
            "--model",
            _model,
            "--original",
            _model,
            "--control",
            _model,
            "--data",
            _questions,
            "--retain",
            _retain,
            "--attacks",
            attacks,
            "--budget",
            "quick",
            "--device",
            "cpu",
            "--out",
            _folder.At(destination),
            .. more,
        ];

    // Of an option given twice the last counts here.
    private static string[] Last(string[] arguments)
    {
        List<string> kept = [arguments[0]];
        for (var i = 1; i < arguments.Length; i += 2)
            if (Array.LastIndexOf(arguments, arguments[i]) == i) kept.AddRange([arguments[i], arguments[i + 1]]);
        return [.. kept];
    }

    private string[] Scores(string destination) =>
        [
            .. Directory
                .GetFiles(_folder.At(destination, "cells"))
                .Order(StringComparer.Ordinal)
                .Select(path => Path.GetFileName(path) + JsonNode.Parse(File.ReadAllText(path))!["scores"]!.ToJsonString()),
        ];
}
