using System.Text.Json.Serialization;
using Falcon.Data;
using Falcon.Engine;
using Falcon.Layers;
using Falcon.Optimization;

namespace Falcon.Methods.Terms;

/// <summary>
/// One part of an objective as it is written in a run file: <c>{ "kind": NAME, ...settings }</c>. A record whose properties are the
/// settings; a range stands on its property as <see cref="System.ComponentModel.DataAnnotations.RangeAttribute"/>. Kinds:
/// <see cref="TermKinds"/>.
/// </summary>
public abstract record Term
{
    /// <summary>What the term asks of the passes.</summary>
    [JsonIgnore]
    public virtual PassNeeds Needs => PassNeeds.None;

    /// <summary>
    /// What is wrong with the term beside the other settings of a run; empty when nothing is. One clause each, such as
    /// <c>weight: 2 weights for 1 forget file(s); give one, or one each</c>; the term's place in the run file is put before it.
    /// </summary>
    /// <param name="use">The run's settings.</param>
    public virtual IEnumerable<string> Faults(TermUse use) => [];
}

/// <summary>The settings beside which a term is used.</summary>
/// <param name="Objective">All terms.</param>
/// <param name="Data">Texts and batches.</param>
/// <param name="Layers">Target and trained matrices.</param>
/// <param name="Engine">Use of memory and processor.</param>
/// <param name="Optimizer">The update.</param>
/// <param name="Steps">Steps of the run.</param>
public sealed record TermUse(
    ObjectiveSettings Objective,
    DataSettings Data,
    LayerSettings Layers,
    EngineSettings Engine,
    OptimizerSettings Optimizer,
    int Steps
);
