using System.Text.Json.Serialization;
using Falcon.Engine;
using Falcon.Methods.Terms;
using static TorchSharp.torch;

namespace Falcon.Methods.Falcon;

/// <summary>
/// <c>hiddenStates</c>: the retain loss of FALCON keeps the direction of the hidden states at the target layer, mean 1 - cos(updated,
/// frozen). Source: Hu et al., NeurIPS 2025, section 4.2.
/// </summary>
public sealed record HiddenStates : RetainTerm
{
    /// <summary>Weight 100, as published.</summary>
    public HiddenStates() => Weight = [100];

    /// <inheritdoc/>
    [JsonIgnore]
    public override PassNeeds Needs => PassNeeds.TargetStates;

    /// <inheritdoc/>
    [JsonIgnore]
    public override bool SeesDrift => true;

    /// <inheritdoc/>
    public override IEnumerable<string> Faults(TermUse use) => [.. base.Faults(use), .. NothingAbove(use)];

    /// <inheritdoc/>
    public override RetainLoss Build(TermInputs inputs) => new StatesRetainLoss(inputs.Data.CountPadding);

    // Hidden states at the target layer say nothing about the layers above it.
    internal static IEnumerable<string> NothingAbove(TermUse use)
    {
        if (use.Objective.Needs.HasFlag(PassNeeds.Outputs) || use.Objective.Needs.HasFlag(PassNeeds.Likelihoods)) yield break;
        const string Remedy = "needs the retain term outputs or tokens";
        if (use.Layers.RebuiltAbove > 0)
            yield return $"layers.rebuiltAbove {Remedy}: hidden states at the target do not reach the layers above";
        if (use.Layers.RebuiltEmbedding)
            yield return $"layers.rebuiltEmbedding {Remedy}: hidden states at the target do not reach the head";
    }

    private sealed class StatesRetainLoss(bool official) : RetainLoss
    {
        public override double? Unchanged => 0;

        public override Tensor Loss(StepPass pass) => Weighted(pass, 1);

        public override Tensor Weighted(StepPass pass, double weight) =>
            RetentionLoss.Compute(pass.States.Updated, pass.States.Frozen, pass.Mask, weight, official);
    }
}

/// <summary>
/// <c>statesError</c>: mean of |updated - frozen|^2 / |frozen|^2 of the hidden states at the target layer; 1 - cos does not see norms.
/// Extension, not in the paper.
/// </summary>
public sealed record StatesError : RetainTerm
{
    /// <inheritdoc/>
    [JsonIgnore]
    public override PassNeeds Needs => PassNeeds.TargetStates;

    /// <inheritdoc/>
    [JsonIgnore]
    public override bool SeesDrift => true;

    /// <inheritdoc/>
    public override IEnumerable<string> Faults(TermUse use) => [.. base.Faults(use), .. HiddenStates.NothingAbove(use)];

    /// <inheritdoc/>
    public override RetainLoss Build(TermInputs inputs) => new StatesRetainLoss();

    private sealed class StatesRetainLoss : RetainLoss
    {
        public override double? Unchanged => 0;

        public override Tensor Loss(StepPass pass)
        {
            var (updated, frozen) = pass.Rows();
            var error = (updated - frozen).square().sum(1) / frozen.square().sum(1).clamp_min(1e-8); // [M], share of the squared norm
            return error.mean();
        }
    }
}
