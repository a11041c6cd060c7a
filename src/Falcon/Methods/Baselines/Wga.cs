using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;
using Falcon.Engine;
using Falcon.Methods.Terms;
using static TorchSharp.torch;

namespace Falcon.Methods.Baselines;

/// <summary>
/// <c>wga</c>: -weight mean over answer tokens of p^beta CE, p the token's own probability without gradient, so that tokens already
/// forgotten stop counting.
/// </summary>
public sealed record WeightedAscent : ForgetTerm
{
    /// <summary>Sharpness of the token weights; 0 is gradient ascent.</summary>
    [Range(0, double.MaxValue)]
    public double Beta { get; init; } = 1;

    /// <summary>Weight of the loss ("gamma").</summary>
    [Range(0, double.MaxValue)]
    public double Weight { get; init; } = 1;

    /// <inheritdoc/>
    [JsonIgnore]
    public override PassNeeds Needs => PassNeeds.Likelihoods | PassNeeds.WholeBatches;

    /// <summary>-mean p^beta CE over scored tokens, a float32 scalar.</summary>
    /// <param name="logits">[B, T, V].</param>
    /// <param name="labels">[B, T] int64, <see cref="ReferenceLosses.IgnoredLabel"/> where not scored.</param>
    /// <param name="beta">Sharpness of the weight; 0 is gradient ascent.</param>
    public static Tensor Of(Tensor logits, Tensor labels, double beta)
    {
        using var scope = NewDisposeScope();
        var nll = ReferenceLosses.TokenNll(logits, labels); // 0 where not scored
        var weights = (nll.detach() * -beta).exp();
        return (-(weights * nll).sum() / ReferenceLosses.TargetCounts(labels).sum()).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override ForgetLoss Build(TermInputs inputs) => new WgaLoss(this);

    private sealed class WgaLoss(WeightedAscent settings) : ForgetLoss
    {
        public override Tensor Loss(StepPass pass) => Of(pass.AnswerLogits, pass.Labels(), settings.Beta) * settings.Weight;
    }
}

/// <summary>Weighted gradient ascent.</summary>
internal static class Wga
{
    public static UnlearningMethod Method { get; } =
        UnlearningMethod.Of(
            "wga",
            "Weighted gradient ascent: L = -gamma mean over answer tokens of p^beta CE, p the token's own probability without gradient; "
                + "+ alpha CE_r.",
            "Wang et al., Rethinking LLM Unlearning Objectives (ICLR 2025)",
            PublishedSettings.WholeModel(new ObjectiveSettings { Forget = [new WeightedAscent()], Retain = [new Answers()] }) with
            {
                Steps = 65,
            },
            PublishedSettings.RatesAndStrength("alpha", "objective.retain.answers.weight", 1, 5)
        );
}
