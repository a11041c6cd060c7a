using Falcon.Engine;
using Falcon.Methods.Terms;
using Falcon.Models;
using static TorchSharp.torch;

namespace Falcon.Methods.Baselines;

/// <summary>
/// Self-distillation with lowered logits: L = mean over the forget answers' tokens of CE(model, softmax(frozen logits - beta onehot(y))) +
/// alpha CE_r. Source: Dong et al., UNDIAL (NAACL 2025). (OpenUnlearning averages over prompt and padding too.)
/// </summary>
/// <param name="inputs">What the method is built from.</param>
public sealed class Undial(MethodInputs inputs) : LikelihoodObjective(inputs)
{
    /// <summary>The distillation loss, a float32 scalar.</summary>
    /// <param name="logits">Of the model in training [B, T, V].</param>
    /// <param name="frozenLogits">Of the unchanged model [B, T, V].</param>
    /// <param name="labels">
    /// [B, T] int64, <see cref="ReferenceLosses.IgnoredLabel"/> where not scored; position t is scored against the label of t + 1.
    /// </param>
    /// <param name="beta">How far the true token's logit is lowered.</param>
    public static Tensor Distillation(Tensor logits, Tensor frozenLogits, Tensor labels, double beta)
    {
        using var scope = NewDisposeScope();
        var targets = labels[.., 1..];
        var scored = targets.ne(ReferenceLosses.IgnoredLabel);
        var lowered = TokenRows.Select(frozenLogits[.., ..^1], scored); // [M, V]
        var truth = nn.functional.one_hot(targets.masked_select(scored), lowered.shape[1]);
        var teacher = (lowered - truth * beta).softmax(1);
        return (teacher * TokenRows.Select(logits[.., ..^1], scored).log_softmax(1)).sum(1).mean().neg().MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    protected override Tensor ForgetLoss(CausalLM model, StepBatch batch)
    {
        var forget = batch.ForgetAnswers();
        return Distillation(forget.Logits(model), FrozenLogits(forget), forget.Labels(model.Device), (double)Settings.Beta!);
    }
}
