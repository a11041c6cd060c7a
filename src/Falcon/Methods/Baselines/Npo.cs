using Falcon.Methods.Terms;
using Falcon.Models;
using static TorchSharp.torch;

namespace Falcon.Methods.Baselines;

/// <summary>
/// Negative preference optimisation: L = gamma * -(2/beta) mean log sigmoid(beta (NLL_f - NLL_f,frozen)) + alpha CE_r, NLL summed over the
/// answer's tokens. Source: Zhang et al., Negative Preference Optimization (2024).
/// </summary>
/// <param name="inputs">What the method is built from.</param>
public sealed class Npo(MethodInputs inputs) : LikelihoodObjective(inputs)
{
    private readonly ReferenceNll _reference = new(inputs.Frozen, inputs.PadId);

    /// <inheritdoc/>
    protected override Tensor ForgetLoss(CausalLM model, StepBatch batch)
    {
        var forget = batch.ForgetAnswers();
        return ReferenceLosses.Npo(forget.Nll(model), _reference.Of(forget), (double)Settings.Beta!) * (double)Settings.Gamma!;
    }
}
