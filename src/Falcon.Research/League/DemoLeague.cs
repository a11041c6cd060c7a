using Falcon.Checkpoints;
using Falcon.Engine;
using Falcon.Evaluation;
using Falcon.Evaluation.Metrics;
using Falcon.Methods;
using Falcon.Models;
using Falcon.Results;
using Falcon.Runs.Configuration;
using Falcon.Runtime;
using Falcon.Tokenization;

namespace Falcon.Research.League;

/// <summary>
/// A run file with multiple-choice probes on what is forgotten and kept, and perplexity: the shape of WMDP with MMLU. FALCON starts from
/// the file's own settings, every other method from its preset on the file's data, batch size and range of layers.
/// </summary>
internal sealed class DemoLeague : LeagueSuite
{
    private readonly UnlearnConfig _run;
    private readonly string _folder;
    private double? _startPerplexity;

    public DemoLeague(LeagueSettings settings, UnlearnConfig run)
    {
        (_run, _folder) = (run, Path.Combine(settings.Out, "data"));
        if (
            run.Evaluation.Probes.All(probe => probe.Group != ScoreGroup.Forget || probe.Metric != ProbeMetric.MultipleChoice)
            || run.Evaluation.Probes.All(probe => probe.Group == ScoreGroup.Forget)
        )
            throw new UserInputException("the run file needs multiple-choice probes of what is forgotten, and probes of what is kept.");
        foreach (var split in Enum.GetValues<LeagueSplit>())
            foreach (var probe in run.Evaluation.Probes.Where(IsSplit)) WriteSplit(probe.Data, split, DataOf(probe, split));
    }

    public override string Measures =>
        "forgetting is 1 - multiple-choice accuracy over the forget domains; utility the harmonic mean of the accuracies on what is kept "
            + "and of the share of the start's perplexity, plain text being the same in both halves";

    public override UnlearnConfig Configure(LeagueEntrant entrant)
    {
        if (entrant.Preset == MethodCatalog.Default.Default) return _run;
        var preset = entrant.Settings();
        var layers = preset.Objective.Needs.UseTarget() && preset.Layers.RebuiltAbove == 0
            ? preset.Layers with { SearchFrom = _run.Layers.SearchFrom, SearchTo = _run.Layers.SearchTo }
            : preset.Layers;
        return preset with { Model = _run.Model, Data = TextsOf(_run.Data, preset.Data), Layers = layers };
    }

    public override LeagueScore Score(CausalLM model, HfTokenizer tokenizer, LeagueSplit split, double? floor, RunContext context)
    {
        var scores = Measure(model, tokenizer, split, context);
        _startPerplexity ??= Perplexity(Start(split, context));
        double[] Of(bool forget) =>
            [
                .. _run
                    .Evaluation.Probes.Where(probe =>
                        probe.Group == ScoreGroup.Forget == forget && probe.Metric == ProbeMetric.MultipleChoice
                    )
                    .Select(probe => scores.Scores[probe.Name].Value),
            ];
        var accuracy = Of(forget: true).Average();
        double[] kept =
        [
            .. Of(forget: false),
            .. Perplexity(scores) is { } perplexity ? new[] { Math.Min(1, _startPerplexity!.Value / perplexity) } : [],
        ];
        return new LeagueScore(1 - accuracy, accuracy, ModelUtility.HarmonicMean(kept));
    }

    private double? Perplexity(ProbeScores scores) =>
        _run.Evaluation.Probes.FirstOrDefault(probe => probe.Metric == ProbeMetric.Perplexity) is { } probe
            ? scores.Scores[probe.Name].Value
            : null;

    private ProbeScores Start(LeagueSplit split, RunContext context)
    {
        using var checkpoint = Checkpoint.Open(_run.Model);
        var compute = ComputeOptions.Choose(context.Device, context.DType, checkpoint.Stored);
        using var weights = checkpoint.LoadWeights(compute.DType, compute.Device);
        return Measure(new CausalLM(checkpoint.Config, weights), HfTokenizer.Load(_run.Model), split, context);
    }

    private ProbeScores Measure(CausalLM model, HfTokenizer tokenizer, LeagueSplit split, RunContext context)
    {
        var evaluation = _run.Evaluation with
        {
            Questions = [],
            Probes = [.. _run.Evaluation.Probes.Select(probe => IsSplit(probe) ? probe with { Data = DataOf(probe, split) } : probe)],
        };
        var prompts = new PromptEncoder(tokenizer, _run.Data.PromptForm.OnDay(context.Today));
        return ProbeScores.Measure(model, prompts, evaluation, _run.Data.Fields, context.Log, context.Cancellation);
    }

    private static bool IsSplit(ProbeConfig probe) => probe.Metric == ProbeMetric.MultipleChoice;

    private string DataOf(ProbeConfig probe, LeagueSplit split) => Path.Combine(_folder, FolderOf(split), Path.GetFileName(probe.Data));
}
