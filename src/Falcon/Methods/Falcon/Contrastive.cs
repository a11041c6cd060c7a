using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;
using Falcon.Engine;
using Falcon.Methods.Terms;
using static TorchSharp.torch;

namespace Falcon.Methods.Falcon;

/// <summary>How the principal offset vector is made.</summary>
public enum OffsetVectorForm
{
    /// <summary>Exact projection of a random start onto the complement of the leading directions (paper, section 4.2).</summary>
    Orthogonal,

    /// <summary>What the published code computes: amplified, squashed and multiplied six times.</summary>
    Official,

    /// <summary>A random unit vector; an ablation.</summary>
    Random,
}

/// <summary>
/// <c>contrastive</c>: the forget loss of FALCON moves the hidden states of forget texts onto the principal offset vector and away from the
/// frozen ones. Source: Hu et al., NeurIPS 2025, section 4.2.
/// </summary>
public sealed record Contrastive : ForgetTerm
{
    /// <summary>Temperature of the loss.</summary>
    [Range(0, double.MaxValue, MinimumIsExclusive = true)]
    public double Temperature { get; init; } = ContrastiveLoss.DefaultTemperature;

    /// <summary>How the principal offset vector is made.</summary>
    public OffsetVectorForm Form { get; init; } = OffsetVectorForm.Orthogonal;

    /// <summary>Share of the variance of the forget hidden states whose directions are removed (orthogonal form).</summary>
    [Range(0.0, 1.0, MinimumIsExclusive = true)]
    public double Variance { get; init; } = 0.95;

    /// <summary>Whether one vector serves a whole topic (true) or each batch has its own (false, as published).</summary>
    public bool PerTopic { get; init; } = true;

    /// <inheritdoc/>
    [JsonIgnore]
    public override PassNeeds Needs => PassNeeds.TargetStates;

    /// <inheritdoc/>
    [JsonIgnore]
    public override bool HasCurvature => true;

    /// <inheritdoc/>
    public override ForgetLoss Build(TermInputs inputs)
    {
        var offsets = OffsetVectors.Make(this, inputs);
        return new ContrastiveStatesLoss(this, step => offsets.At(step.Scheduled.Step, step.Scheduled.Topic), offsets);
    }
}

/// <summary>The contrastive loss with an offset vector for each step.</summary>
/// <param name="settings">Temperature.</param>
/// <param name="offset">The principal offset vector [H] of a step; borrowed.</param>
/// <param name="owned">What the vectors belong to, released with the loss; null for nothing.</param>
public sealed class ContrastiveStatesLoss(Contrastive settings, Func<StepBatch, Tensor> offset, IDisposable? owned = null) : StatesLoss
{
    /// <inheritdoc/>
    public override Tensor At(Tensor updated, Tensor frozen, StepPass pass, bool weighted = true) =>
        ContrastiveLoss.Compute(
            updated,
            offset(pass.Step),
            frozen,
            pass.Mask,
            settings.Temperature,
            weighted ? pass.TokenWeights : null
        );

    /// <inheritdoc/>
    public override Tensor? CurvatureLogits(StepPass pass) =>
        ContrastiveLoss.Logits(pass.States.Updated, offset(pass.Step), pass.States.Frozen, pass.Mask, settings.Temperature);

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing) owned?.Dispose();
        base.Dispose(disposing);
    }
}
