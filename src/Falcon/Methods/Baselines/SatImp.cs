using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;
using Falcon.Engine;
using Falcon.Methods.Terms;
using static TorchSharp.torch;

namespace Falcon.Methods.Baselines;

/// <summary>
/// <c>satimp</c>: -weight mean over answer tokens of p^beta1 (1 - p)^beta2 CE, p the token's own probability without gradient: neither
/// tokens that are forgotten already (saturation) nor tokens that any model would say (importance) count.
/// </summary>
public sealed record SaturationImportance : ForgetTerm
{
    /// <summary>Exponent of p: how fast forgotten tokens stop counting.</summary>
    [Range(0, double.MaxValue)]
    public double Beta1 { get; init; } = 5;

    /// <summary>Exponent of 1 - p: how little certain tokens count.</summary>
    [Range(0, double.MaxValue)]
    public double Beta2 { get; init; } = 1;

    /// <summary>Weight of the loss ("gamma").</summary>
    [Range(0, double.MaxValue)]
    public double Weight { get; init; } = 0.1;

    /// <inheritdoc/>
    [JsonIgnore]
    public override PassNeeds Needs => PassNeeds.Likelihoods | PassNeeds.WholeBatches;

    /// <summary>-mean p^beta1 (1 - p)^beta2 CE over scored tokens, a float32 scalar.</summary>
    /// <param name="logits">[B, T, V].</param>
    /// <param name="labels">[B, T] int64, <see cref="ReferenceLosses.IgnoredLabel"/> where not scored.</param>
    /// <param name="beta1">Exponent of p.</param>
    /// <param name="beta2">Exponent of 1 - p.</param>
    public static Tensor Of(Tensor logits, Tensor labels, double beta1, double beta2)
    {
        using var scope = NewDisposeScope();
        var nll = ReferenceLosses.TokenNll(logits, labels); // 0 where not scored
        var known = nll.detach();
        var weights = (known * -beta1).exp() * (-known).expm1().neg().pow(beta2); // 1 - p without cancellation where p is near 1
        return (-(weights * nll).sum() / ReferenceLosses.TargetCounts(labels).sum()).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override ForgetLoss Build(TermInputs inputs) => new SatImpLoss(this);

    private sealed class SatImpLoss(SaturationImportance settings) : ForgetLoss
    {
        public override Tensor Loss(StepPass pass) =>
            Of(pass.AnswerLogits, pass.Labels(), settings.Beta1, settings.Beta2) * settings.Weight;
    }
}

/// <summary>Gradient ascent weighted by saturation and importance.</summary>
internal static class SatImp
{
    public static UnlearningMethod Method { get; } =
        UnlearningMethod.Of(
            "satimp",
            "Saturation and importance: L = -gamma mean over answer tokens of p^beta1 (1 - p)^beta2 CE, p the token's own probability "
                + "without gradient; + alpha CE_r.",
            "Yang et al., Exploring Criteria of Loss Reweighting to Enhance LLM Unlearning (ICML 2025); settings as in OpenUnlearning",
            PublishedSettings.WholeModel(new ObjectiveSettings { Forget = [new SaturationImportance()], Retain = [new Answers()] }),
            PublishedSettings.RatesAndStrength("gamma", "objective.forget.satimp.weight", 0.1, 1)
        );
}
