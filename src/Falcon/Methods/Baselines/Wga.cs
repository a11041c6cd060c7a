using Falcon.Methods.Terms;
using Falcon.Models;
using static TorchSharp.torch;

namespace Falcon.Methods.Baselines;

/// <summary>
/// Weighted gradient ascent: L = -gamma mean over answer tokens of p^beta CE, p the token's own probability without gradient, so that
/// tokens already forgotten stop counting; + alpha CE_r. Source: Wang et al., Rethinking LLM Unlearning Objectives (ICLR 2025).
/// </summary>
/// <param name="inputs">What the method is built from.</param>
public sealed class Wga(MethodInputs inputs) : LikelihoodObjective(inputs)
{
    /// <summary>-mean p^beta CE over scored tokens, a float32 scalar.</summary>
    /// <param name="logits">[B, T, V].</param>
    /// <param name="labels">[B, T] int64, <see cref="ReferenceLosses.IgnoredLabel"/> where not scored.</param>
    /// <param name="beta">Sharpness of the weight; 0 is gradient ascent.</param>
    public static Tensor WeightedAscent(Tensor logits, Tensor labels, double beta)
    {
        using var scope = NewDisposeScope();
        var nll = ReferenceLosses.TokenNll(logits, labels); // 0 where not scored
        var weights = (nll.detach() * -beta).exp();
        return (-(weights * nll).sum() / ReferenceLosses.TargetCounts(labels).sum()).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    protected override Tensor ForgetLoss(CausalLM model, StepBatch batch)
    {
        var forget = batch.ForgetAnswers();
        return WeightedAscent(forget.Logits(model), forget.Labels(model.Device), (double)Settings.Beta!) * (double)Settings.Gamma!;
    }
}
