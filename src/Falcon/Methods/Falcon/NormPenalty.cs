using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;
using Falcon.Engine;
using Falcon.Methods.Terms;
using static TorchSharp.torch;

namespace Falcon.Methods.Falcon;

/// <summary>
/// <c>normPenalty</c>: weight * mean over counted tokens of (|updated| / |frozen| - 1)^2. The contrastive loss ignores norms; without the
/// penalty the norms of forget hidden states grow. Extension, not in the paper.
/// </summary>
public sealed record NormPenalty : ForgetTerm
{
    /// <summary>Weight of the penalty.</summary>
    [Range(0, double.MaxValue, MinimumIsExclusive = true)]
    public double Weight { get; init; } = 0.05;

    /// <inheritdoc/>
    [JsonIgnore]
    public override PassNeeds Needs => PassNeeds.TargetStates;

    /// <inheritdoc/>
    public override ForgetLoss Build(TermInputs inputs) => new Penalty(Weight);

    private sealed class Penalty(double weight) : ForgetLoss
    {
        public override Tensor Loss(StepPass pass) => weight * (pass.NormRatios - 1).square().mean();
    }
}
