using Falcon.Methods.Terms;
using Falcon.Models;
using static TorchSharp.torch;

namespace Falcon.Methods.Baselines;

/// <summary>
/// KL minimisation: L = -gamma CE_f + alpha KL(frozen || model) on the retain texts, mean over all their real tokens. Source: Maini et al.,
/// TOFU (2024).
/// </summary>
/// <param name="inputs">What the method is built from.</param>
public sealed class KlMinimization(MethodInputs inputs) : LikelihoodObjective(inputs)
{
    /// <inheritdoc/>
    protected override Tensor ForgetLoss(CausalLM model, StepBatch batch) =>
        batch.ForgetAnswers().MeanNll(model) * -(double)Settings.Gamma!;

    /// <inheritdoc/>
    protected override Tensor RetainLoss(CausalLM model, StepBatch batch)
    {
        var retain = batch.RetainAnswers();
        return ReferenceLosses.KullbackLeibler(retain.Logits(model), FrozenLogits(retain), retain.AttentionMask(model.Device))
            * (double)Settings.Alpha!;
    }
}
