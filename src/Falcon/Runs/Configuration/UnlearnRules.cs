using Falcon.Engine;
using Falcon.Layers;
using Falcon.Methods;
using Falcon.Methods.Terms;
using Falcon.Optimization;
using Falcon.Runtime;

namespace Falcon.Runs.Configuration;

/// <summary>
/// The rules that a run file must meet: first ranges, which are declared on the settings, then the rules of each section and each term,
/// then those between sections.
/// </summary>
internal static class UnlearnRules
{
    /// <summary>All faults; empty when the file is right.</summary>
    public static IEnumerable<string> Faults(UnlearnConfig config)
    {
        var use = new TermUse(config.Objective, config.Data, config.Layers, config.Engine, config.Optimizer, config.Steps);
        return
        [
            .. OfRanges(config),
            .. OfMethod(config),
            .. OfTexts(config),
            .. OfLayers(config),
            .. OfSteps(config),
            .. config.Objective.Faults(use),
            .. config.Monitor.Faults(),
            .. OfEvaluation(config),
        ];
    }

    private static IEnumerable<string> OfRanges(UnlearnConfig config) =>
        [
            .. SettingRanges.Faults(config, ""),
            .. SettingRanges.Faults(config.Data, "data"),
            .. SettingRanges.Faults(config.Layers, "layers"),
            .. SettingRanges.Faults(config.Optimizer, "optimizer"),
            .. SettingRanges.Faults(config.Engine, "engine"),
        ];

    private static IEnumerable<string> OfMethod(UnlearnConfig config)
    {
        if (MethodCatalog.All.FirstOrDefault(one => one.Name == config.Method) is not { } method)
            yield return $"method is \"{config.Method}\"; known are {string.Join(", ", MethodCatalog.Names)}";
        else if (method.Presets.All(preset => preset.Name != config.Preset))
            yield return $"preset is \"{config.Preset}\"; the method {method.Name} has "
                + $"{string.Join(", ", method.Presets.Select(preset => preset.Name))}";
    }

    private static IEnumerable<string> OfTexts(UnlearnConfig config)
    {
        if (config.Model.Length == 0) yield return "model: give the checkpoint directory (--model DIR)";
        if (config.Data.Forget.Count == 0) yield return "data.forget: give at least one forget file (--forget FILE[,FILE])";
        if (config.Data.RetainFault() is { } fault) yield return fault;
        if (config.Data.CountPadding && config.Engine.MicroBatchTokens != 0)
            yield return "engine.microBatchTokens: counted padding (data.countPadding) needs whole batches; leave it 0";
    }

    private static IEnumerable<string> OfLayers(UnlearnConfig config)
    {
        var layers = config.Layers;
        if (layers.SearchFrom > layers.SearchTo) yield return "layers.searchFrom must not be above layers.searchTo";
        if (config.TrainsWholeModel && (layers.Target is not null || layers.Choice != LayerChoice.LowestInformation))
            yield return $"layers.target and layers.choice have no effect when layers.parameters is {LayerSettings.WholeModel}";
        if (layers is { Target: not null, Choice: not LayerChoice.LowestInformation })
            yield return "layers.choice has no effect when layers.target is given";
        if (
            layers.StartNoise > 0
            && !config.Objective.Retain.Any(term => term is { SeesDrift: true } && term.Weight.All(weight => weight > 0))
        )
            yield return "layers.startNoise needs a retain term that sees whether the noise is made good (hiddenStates, outputs or "
                + "tokens), with a weight above 0";
    }

    private static IEnumerable<string> OfSteps(UnlearnConfig config)
    {
        var objective = config.Objective;
        if (objective.HasSteps && config.Steps < 1) yield return "steps must be at least 1";
        if (!objective.HasSteps && objective.Edits.Count > 0 && config.Steps != 0)
            yield return $"steps must be 0: the method {config.Method} only edits the weights";
        if (config.Engine.MicroBatchTokens != 0 && objective.Needs.HasFlag(PassNeeds.WholeBatches))
            yield return $"engine.microBatchTokens: {string.Join(" and ", WholeBatchTerms(objective))} take whole batches; leave it 0";
        if (config.Optimizer.Kind == OptimizerKind.Sophia && !objective.Forget.Any(term => term.HasCurvature))
            yield return "optimizer.kind sophia estimates the curvature of the forget term contrastive; use adamW or sophiaOfficial here";
    }

    private static IEnumerable<string> WholeBatchTerms(ObjectiveSettings objective) =>
        objective
            .Forget.Select(term => ("forget", (Term)term))
            .Concat(objective.Retain.Select(term => ("retain", (Term)term)))
            .Where(item => item.Item2.Needs.HasFlag(PassNeeds.WholeBatches))
            .Select(item => $"objective.{item.Item1}.{TermKinds.NameOf(item.Item2)}");

    private static IEnumerable<string> OfEvaluation(UnlearnConfig config)
    {
        var evaluation = config.Evaluation;
        if (evaluation.Samples < 0) yield return "evaluation.samples must not be negative";
        if (evaluation.Probes.Any(probe => probe is not { Name.Length: > 0, Data.Length: > 0 }))
            yield return "evaluation.probes: each needs a name and a data file";
        if (evaluation.Probes.DistinctBy(probe => probe.Name).Count() != evaluation.Probes.Count)
            yield return "evaluation.probes: two have the same name";
    }
}
