using Falcon.Methods.Terms;
using Falcon.Models;
using static TorchSharp.torch;

namespace Falcon.Methods.Baselines;

/// <summary>
/// Gradient difference: L = -gamma CE_f + alpha CE_r. Source: Liu et al., Continual Learning and Private Unlearning (2022); Maini et al.,
/// TOFU (2024).
/// </summary>
/// <param name="inputs">What the method is built from.</param>
public sealed class GradDiff(MethodInputs inputs) : LikelihoodObjective(inputs)
{
    /// <inheritdoc/>
    protected override Tensor ForgetLoss(CausalLM model, StepBatch batch) =>
        batch.ForgetAnswers().MeanNll(model) * -(double)Settings.Gamma!;
}
