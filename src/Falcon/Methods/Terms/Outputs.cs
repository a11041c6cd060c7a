using System.Text.Json.Serialization;
using Falcon.Engine;
using static TorchSharp.torch;

namespace Falcon.Methods.Terms;

/// <summary>
/// <c>outputs</c>: keeps the next-token distributions of the retain texts, mean over all their tokens of KL(frozen || updated). Hidden
/// states of retain texts also carry much of the model's other knowledge, and an update that keeps them keeps that knowledge too;
/// distributions carry little of it. Every step runs the whole model.
/// </summary>
public sealed record Outputs : RetainTerm
{
    /// <summary>
    /// Directory of the model whose distributions are kept, and which writes the generated retain texts; null for the unchanged model
    /// itself. It needs the same tokenizer. Lee et al. (arXiv 2506.06278) distil from a model that is unlearned already; what such a model
    /// still passes on is measured in docs/experiments.
    /// </summary>
    public string? Teacher { get; init; }

    /// <inheritdoc/>
    [JsonIgnore]
    public override PassNeeds Needs => PassNeeds.Outputs;

    /// <inheritdoc/>
    [JsonIgnore]
    public override bool SeesDrift => true;

    /// <inheritdoc/>
    public override IEnumerable<string> Faults(TermUse use) =>
        [
            .. base.Faults(use),
            .. OfWholePasses(use),
            .. Teacher is not null && !use.Objective.Needs.UseTarget()
                ? new[] { "teacher: the term needs a forget term of hidden states beside a teacher; leave it out" }
                : [],
        ];

    /// <inheritdoc/>
    public override RetainLoss Build(TermInputs inputs) => new OutputsLoss(inputs.Passes is null);

    // With a target layer, the passes share what lies below the trained layers. Streaming and cached activations do not allow that.
    internal static IEnumerable<string> OfWholePasses(TermUse use)
    {
        if (!use.Objective.Needs.UseTarget()) yield break;
        if (use.Data.CountPadding) yield return "the term runs the whole model and needs data.countPadding=false";
        if (use.Engine is not { Path: EnginePath.Shared, Stream: false, StateInFile: false, Cache: not CacheUse.On })
            yield return "the term runs the whole model in every step and needs engine.path=shared, engine.stream and engine.stateInFile "
                + "false, and engine.cache other than on";
    }

    private sealed class OutputsLoss(bool fromAnswers) : RetainLoss
    {
        public override double? Unchanged => fromAnswers ? null : 0;

        public override Tensor Loss(StepPass pass) =>
            fromAnswers
                ? ReferenceLosses.KullbackLeibler(
                    pass.AnswerLogits,
                    pass.FrozenAnswerLogits,
                    pass.Answers.AttentionMask(pass.Model.Device)
                )
                : ReferenceLosses.KullbackLeibler(pass.Outputs.Updated, pass.Outputs.Frozen);
    }
}
