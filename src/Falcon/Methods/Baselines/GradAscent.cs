using Falcon.Methods.Terms;
using Falcon.Models;
using static TorchSharp.torch;

namespace Falcon.Methods.Baselines;

/// <summary>
/// Gradient ascent: L = -CE_f, on the forget answers alone. Unbounded below, so it ruins a model unless it is stopped. Source: Jang et al.,
/// ACL 2023.
/// </summary>
/// <param name="inputs">What the method is built from.</param>
public sealed class GradAscent(MethodInputs inputs) : LikelihoodObjective(inputs)
{
    /// <inheritdoc/>
    protected override Tensor ForgetLoss(CausalLM model, StepBatch batch) => -batch.ForgetAnswers().MeanNll(model);
}
