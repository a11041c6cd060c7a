using System.CommandLine;
using Falcon.Runtime;

namespace Falcon.Cli;

/// <summary><c>falcon unlearn</c>: a model, what to forget and what to keep; out comes a run directory with the new model.</summary>
internal static class UnlearnCommand
{
    public static Command Create(SessionStart start)
    {
        var command = new Verb(
            "unlearn", "Remove the knowledge of the forget files from a model and keep that of the retain files. Writes a run directory with config.json, environment.json, layers.json, metrics.jsonl, run.json and the new model in model/.",
            "unlearn --model models/my-model --forget forget.jsonl --retain retain.jsonl --out runs/first",
            "unlearn --model models/my-model --forget a.jsonl,b.jsonl --retain retain.jsonl --preset paper --set optimizer.learningRate=1e-4 --out runs/second");
        var corpus = new CorpusOptions(command);
        var preset = new Option<string>("--preset") { Description = "falcon (default), paper (the formulas of the paper) or official (what the authors' code computes).", HelpName = "falcon|paper|official", DefaultValueFactory = _ => "falcon" };
        var method = new Option<string>("--method") { Description = "Unlearning method.", HelpName = "NAME", DefaultValueFactory = _ => "falcon" };
        var layer = new Option<string>("--layer") { Description = "Layer to unlearn at: auto (least mutual information) or a number counted from 0.", HelpName = "auto|N", DefaultValueFactory = _ => "auto" };
        var config = new Option<string?>("--config") { Description = "Run file (JSON with comments); options on the command line win over it.", HelpName = "FILE" };
        var set = new Option<string[]>("--set") { Description = "One setting of the configuration, such as optimizer.learningRate=1e-4; may be repeated.", HelpName = "key=value", Arity = ArgumentArity.OneOrMore };
        var resume = new Option<bool>("--resume") { Description = "Continue the interrupted run of the same --out." };
        var destination = OutOption();
        preset.AcceptOneOf("falcon", "paper", "official");
        layer.Validators.Add(result =>
        {
            var text = result.GetValueOrDefault<string>();
            if (text != "auto" && !(int.TryParse(text, out var number) && number >= 0)) result.AddError($"--layer is '{text}', it must be auto or a number from 0");
        });
        set.Validators.Add(result =>
        {
            foreach (var token in result.Tokens)
                if (token.Value.IndexOf('=', StringComparison.Ordinal) < 1) result.AddError($"--set is '{token.Value}', it must be key=value");
        });
        foreach (var option in new Option[] { preset, method, layer, config, set, resume, destination }) command.Add(option);
        var common = new CommonOptions(command);
        command.SetAction(parsed =>
        {
            using var session = start(parsed, common);
            var arguments = new UnlearnArguments(
                parsed.GetRequiredValue(corpus.Model), parsed.GetRequiredValue(corpus.Forget), parsed.GetRequiredValue(corpus.Retain), parsed.GetValue(corpus.Field),
                parsed.GetValue(preset)!, parsed.GetValue(method)!, parsed.GetValue(layer)!, parsed.GetValue(config), parsed.GetValue(set) ?? [], parsed.GetValue(resume),
                parsed.GetRequiredValue(destination));
            return session.Finish(Execute(arguments, session), ScoreTable.Show);
        });
        return command;
    }

    /// <summary>The required <c>--out DIR</c> of the verbs that write a directory.</summary>
    public static Option<string> OutOption() => new("--out") { Description = "Directory to write; it must not exist yet, and appears whole or not at all.", HelpName = "DIR", Required = true };

    private static RunRecord Execute(UnlearnArguments arguments, CommandSession session) =>
        throw new NotSupportedException($"unlearn: {arguments} {session.Device}"); // TODO(wire): Unlearning.UnlearnRun.Execute(RunConfig, RunDirectory, RunContext)
}

/// <summary>What was asked of <c>unlearn</c>; <paramref name="Settings"/> are key=value as typed.</summary>
internal sealed record UnlearnArguments(
    string Model, IReadOnlyList<string> Forget, IReadOnlyList<string> Retain, string? Field, string Preset, string Method, string Layer, string? Config,
    IReadOnlyList<string> Settings, bool Resume, string Out);
