using System.CommandLine;
using System.Globalization;
using Falcon.Data;
using Falcon.Reporting;
using Falcon.Results;
using Falcon.Runs.Attacking;
using Falcon.Runs.Evaluating;
using Spectre.Console;

namespace Falcon.Cli.Verbs;

/// <summary><c>falcon attack</c>: tries to recover forgotten knowledge, with controls.</summary>
internal static class AttackCommand
{
    public static Command Create(SessionStart start)
    {
        var command = new Verb(
            "attack",
            "Try to recover the forgotten knowledge: attacks from prompts to training, on the unlearned model, on the original, and on a "
                + "model that was never taught. Writes attacks.json and attacks.md. An interrupted run continues from its finished "
                + "attacks.",
            "attack --model runs/first/model --original models/my-model --control models/never-taught --data forget-mcq.jsonl --forget "
                + "forget.jsonl --retain retain.jsonl --out runs/first/attacks",
            "attack --model runs/first/model --original models/my-model --attacks logit-lens,linear-probes --data forget-mcq.jsonl "
                + "--budget quick --out runs/lens"
        );
        var model = InspectCommand.ModelOption();
        var adapter = InspectCommand.AdapterOption();
        var original = new Option<string>("--original")
        {
            Description = "The model before unlearning: directory or .gguf file.",
            HelpName = "DIR|FILE.gguf",
            Required = true,
        };
        var control = new Option<string?>("--control")
        {
            Description =
                "A model made the same way that was never taught the forget set. Without it, knowledge that an attack brings "
                    + "along counts as recovered.",
            HelpName = "DIR",
        };
        var attacks = OptionParsing.List(
            "--attacks",
            $"Attacks, separated by commas, or all (default): {string.Join(", ", AttackRun.Names)}.",
            "NAMES"
        );
        var data = OptionParsing.List(
            "--data",
            "Files of questions about the forget set, with choices or with perturbed_answer. One half is for the attacker, the other is "
                + "scored; the halves share no name.",
            "FILES",
            required: true
        );
        var forget = OptionParsing.List(
            "--forget",
            "Texts of the forget set. The attacker gets those that do not mention what is scored.",
            "FILES"
        );
        var retain = OptionParsing.List("--retain", "Texts of the retain set.", "FILES");
        var utility = OptionParsing.List(
            "--utility",
            "Questions with wrong answers about what the model should keep; by default those in --retain.",
            "FILES"
        );
        var text = OptionParsing.List("--text", "Texts of neither set.", "FILES");
        var budget = new Option<string>("--budget")
        {
            Description = "How much the attacker spends.",
            HelpName = "quick|standard|thorough",
            DefaultValueFactory = _ => "standard",
        };
        var cache = new Option<string?>("--cache")
        {
            Description =
                "Folder that keeps finished attacks for later runs, so that the original and the control are not attacked again for the "
                    + "next unlearned model.",
            HelpName = "DIR",
        };
        var memoryLimit = OptionParsing.Bytes(
            "--memory-limit",
            "Resident memory that the models may take together, such as 4GB; one that does not fit is read layer by layer. The default "
                + "is what the machine has to spare."
        );
        var destination = UnlearnCommand.OutOption();
        budget.AcceptOneOf("quick", "standard", "thorough");
        attacks.Validators.Add(result =>
        {
            foreach (
                var name in (result.Tokens is [var token] ? token.Value : "").Split(
                    ',',
                    StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries
                )
            )
                if (name != "all" && !AttackRun.Names.Contains(name))
                    result.AddError($"--attacks has '{name}', known are all, {string.Join(", ", AttackRun.Names)}");
        });
        foreach (
            var option in new Option[]
            {
                model,
                adapter,
                original,
                control,
                attacks,
                data,
                forget,
                retain,
                utility,
                text,
                budget,
                cache,
                memoryLimit,
                destination,
            }
        )
            command.Add(option);
        var form = new FormOptions(command);
        var common = new CommonOptions(command);
        command.SetAction(parsed =>
        {
            using var session = start(parsed, common);
            var chosen = parsed.GetValue(attacks) ?? [];
            var settings = new AttackRunSettings(
                session.Model(parsed.GetRequiredValue(model), parsed.GetValue(adapter)),
                session.Model(parsed.GetRequiredValue(original)),
                parsed.GetRequiredValue(data),
                parsed.GetRequiredValue(destination)
            )
            {
                Control = session.Model(parsed.GetValue(control)),
                Attacks = chosen.Contains("all") ? [] : chosen,
                Forget = parsed.GetValue(forget) ?? [],
                Retain = parsed.GetValue(retain) ?? [],
                Utility = parsed.GetValue(utility) ?? [],
                Texts = parsed.GetValue(text) ?? [],
                Budget = Enum.Parse<AttackBudget>(parsed.GetRequiredValue(budget), ignoreCase: true),
                Seed = (ulong)(session.Seed ?? 0),
                Cache = parsed.GetValue(cache),
                Form = form.AreGiven(parsed)
                    ? form.Over(RunForm.Of(parsed.GetRequiredValue(model))?.Form ?? new PromptForm(), parsed)
                    : null,
            };
            return session.Finish(
                AttackRun.Execute(settings, session.Context with { MemoryLimit = parsed.GetValue(memoryLimit) }),
                (console, result) =>
                {
                    Show(console, result);
                    if (result.Attacks.Any(row => row.Verdict == AttackVerdict.CannotTell && row.RecoveredShare.Value is not null))
                        console.WriteLine(
                            $"Where the verdict is \"cannot tell\", {result.Questions.Test} scored questions are too few: more of them "
                                + $"in --data make the intervals narrower."
                        );
                }
            );
        });
        return command;
    }

    internal static void Show(IAnsiConsole console, AttackResult result)
    {
        var hasControl = result.Unattacked.Control is not null;
        var table = new Table().Border(TableBorder.Simple).AddColumns("attack", "un-\nlearned", "never\ntaught", "recovered", "verdict");
        foreach (var column in table.Columns) column.NoWrap();
        foreach (var column in table.Columns.Skip(1).Take(3)) column.RightAligned();
        void Add(params string[] cells) => table.AddRow(cells.Select(cell => new Text(cell)));
        Add("no attack", Percent(result.Unattacked.Unlearned.Value), Percent(result.Unattacked.Control?.Value), "", "");
        void AddRow(string name, MetricValue unlearned, MetricValue? control, RecoveredShare share, AttackVerdict verdict) =>
            Add(
                name,
                Percent(unlearned.Value),
                Percent(control?.Value),
                share.Value is null ? "no gap" : $"{Whole(share.Value)} ({Whole(share.Low)} to {Whole(share.High)})",
                verdict == AttackVerdict.DoesNotRecover ? "does not" : AttackTable.VerdictText(verdict)
            );
        foreach (var row in result.Attacks)
            AddRow(row.Name, row.Unlearned, row.Control, row.BeyondControl ?? row.RecoveredShare, row.Verdict);
        List<AttackTierRow> tiers = [.. result.Tiers.Where(row => row.Attacks.Count > 1)];
        if (tiers.Count > 0)
            table.AddEmptyRow();
        foreach (var row in tiers)
            AddRow(
                AttackTable.TierText(row),
                row.Attacked.Unlearned,
                row.Attacked.Control,
                row.BeyondControl ?? row.RecoveredShare,
                row.Verdict
            );
        console.Write(table);
        console.WriteLine(
            $"In percent. Recovered: what the attack gets beyond {(hasControl ? "the never-taught model" : "plain questions")}, as a "
                + $"share of what the original has beyond it, with its 95 % "
                + $"interval.{(tiers.Count > 0 ? " A tier's row is the mean of as many of its attacks as the brackets say." : "")} "
                + $"attacks.md has every number."
        );
        if (AttackSection.WhatToDo(result) is { } advice)
            console.WriteLine(advice);
    }

    private static string Whole(double? share) => share is { } value ? (value * 100).ToString("F0", CultureInfo.InvariantCulture) : "–";

    private static string Percent(double? share) => share is { } value ? value.ToString("P1", PercentFormat) : "–";

    private static readonly NumberFormatInfo PercentFormat = new()
    {
        PercentPositivePattern = 1,
        PercentNegativePattern = 1,
        PercentSymbol = "",
    };
}
