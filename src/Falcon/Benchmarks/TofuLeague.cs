using System.Globalization;
using Falcon.Configuration;
using Falcon.Evaluation;
using Falcon.Runtime;

namespace Falcon.Benchmarks;

/// <summary>TOFU: forget quality against a retrained model, and model utility, both on one half of every set's questions.</summary>
internal sealed class TofuLeague : LeagueSuite
{
    private static readonly string[] Kept = ["retain", "real_authors", "world_facts"];

    private readonly LeagueSettings _settings;
    private readonly string _forget, _retain;

    public TofuLeague(LeagueSettings settings)
    {
        _settings = settings;
        foreach (var (option, path) in new[] { ("--model", settings.Model), ("--reference", settings.Reference), ("--data", settings.Data) })
            if (!Directory.Exists(path)) throw new UserInputException($"{option} '{path}': there is no such directory; the suite tofu needs the taught model, a retrained one and TOFU's files.");
        if (!settings.ForgetSplit.StartsWith("forget", StringComparison.Ordinal) || !int.TryParse(settings.ForgetSplit["forget".Length..], NumberStyles.None, CultureInfo.InvariantCulture, out var percent) || percent is < 1 or > 99)
            throw new UserInputException($"--forget-split {settings.ForgetSplit}: use forget01, forget05 or forget10.");
        (_forget, _retain) = (File(settings.ForgetSplit), File(string.Create(CultureInfo.InvariantCulture, $"retain{100 - percent:00}")));
        foreach (var split in Enum.GetValues<LeagueSplit>())
            foreach (var set in Kept.Prepend(settings.ForgetSplit))
                WriteSplit(File(set + "_perturbed"), split, Path.Combine(SplitFolder(split), set + "_perturbed.jsonl"));
    }

    public override UnlearnConfig Configure(string method)
    {
        var preset = MethodPresets.Of(method);
        return preset with { Model = _settings.Model, Data = preset.Data with { Forget = [_forget], Retain = [_retain], BatchSize = 8 } };
    }

    public override LeagueScore Score(string model, LeagueSplit split, string cell, RunContext context)
    {
        var reference = Path.Combine(_settings.Out, "reference", $"{split}.json".ToLowerInvariant());
        if (!System.IO.File.Exists(reference)) Evaluate(_settings.Reference, null, split, reference, context);
        var metrics = Evaluate(model, reference, split, Path.Combine(cell, "evaluation.json"), context).Metrics;
        return new LeagueScore(metrics["forget_quality"].Value, metrics["forget_Q_A_Prob"].Value, metrics["model_utility"].Value);
    }

    private EvaluationResult Evaluate(string model, string? reference, LeagueSplit split, string destination, RunContext context) => EvaluateRun.Execute(
        new EvaluationSettings(model, ["tofu"], SplitFolder(split), reference, destination)
        {
            ForgetSplit = _settings.ForgetSplit,
            Questions = new QuestionSettings(RougeSamples: _settings.RougeSamples),
            Template = new(), // the same for every model, whatever lies beside it
            Device = context.Device,
            DType = context.DType,
        },
        context.Log, context.Clock, context.Cancellation);

    private string SplitFolder(LeagueSplit split) => Path.Combine(_settings.Out, "data", split.ToString().ToLowerInvariant());

    private string File(string set) => System.IO.File.Exists(Path.Combine(_settings.Data, set + ".jsonl"))
        ? Path.Combine(_settings.Data, set + ".jsonl")
        : throw new UserInputException($"{_settings.Data}: {set}.jsonl is not there; the suite tofu needs it.");
}
