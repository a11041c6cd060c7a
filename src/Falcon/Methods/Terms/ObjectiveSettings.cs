using System.Text.Json.Serialization;
using Falcon.Engine;
using Falcon.Layers;
using Falcon.Methods.Gradients;
using Falcon.Runtime;

namespace Falcon.Methods.Terms;

/// <summary>An objective as it is written in a run file: lists of terms.</summary>
public sealed record ObjectiveSettings
{
    /// <summary>Losses on the forget texts, added up.</summary>
    public IReadOnlyList<ForgetTerm> Forget { get; init; } = [];

    /// <summary>Losses on the retain texts, added up.</summary>
    public IReadOnlyList<RetainTerm> Retain { get; init; } = [];

    /// <summary>How the two gradients become one; empty adds them up.</summary>
    public IReadOnlyList<GradientFilter> Filters { get; init; } = [];

    /// <summary>What is done to the weights after the last step.</summary>
    public IReadOnlyList<WeightEdit> Edits { get; init; } = [];

    /// <summary>All terms, forget terms first.</summary>
    [JsonIgnore]
    public IEnumerable<Term> Terms => [.. Forget, .. Retain, .. Filters, .. Edits];

    /// <summary>What the terms ask of the passes together.</summary>
    [JsonIgnore]
    public PassNeeds Needs => Terms.Aggregate(PassNeeds.None, (needs, term) => needs | term.Needs);

    /// <summary>Whether the objective makes steps; an objective of edits alone makes none.</summary>
    [JsonIgnore]
    public bool HasSteps => Forget.Count + Retain.Count > 0;

    /// <summary>What is wrong with the terms; empty when nothing is. Each fault begins with the key of its term.</summary>
    /// <param name="use">The run's settings, this objective among them.</param>
    public IEnumerable<string> Faults(TermUse use)
    {
        foreach (var (list, terms) in Lists())
        {
            foreach (var twice in terms.GroupBy(TermKinds.NameOf).Where(group => group.Count() > 1))
                yield return $"objective.{list} has {twice.Key} {twice.Count()} times; a kind stands at most once in a list";
            foreach (var term in terms)
            {
                var key = $"objective.{list}.{TermKinds.NameOf(term)}";
                foreach (var fault in SettingRanges.Faults(term, key))
                    yield return fault;
                foreach (var fault in term.Faults(use))
                    yield return fault.Contains(' ', StringComparison.Ordinal) ? $"{key}: {fault}" : fault;
            }
        }

        if (Filters.Count > 1) yield return "objective.filters: two filters contradict each other; keep one";
        if (!HasSteps && Edits.Count == 0) yield return "objective: there is no term; give at least one forget term or edit";
        if (HasSteps && Forget.Count == 0) yield return "objective.forget: give at least one term";
        if (Needs.UseTarget() && use.Layers.Parameters is [LayerSettings.WholeModel])
            yield return $"layers.parameters: the objective looks at one layer and trains matrices up to it; name all or some matrices "
                + $"instead of {LayerSettings.WholeModel}";
    }

    private IEnumerable<(string Name, IReadOnlyList<Term> Terms)> Lists() =>
        [("forget", Forget), ("retain", Retain), ("filters", Filters), ("edits", Edits)];
}
