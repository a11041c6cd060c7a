using Falcon.Methods.Terms;
using Falcon.Models;
using static TorchSharp.torch;

namespace Falcon.Methods.Baselines;

/// <summary>
/// NPO without a reference model: L = gamma * -(2/beta) mean log sigmoid(beta (NLL_f / tokens - delta)) + alpha CE_r. Source: Fan et al.,
/// Simplicity Prevails (2024).
/// </summary>
/// <param name="inputs">What the method is built from.</param>
public sealed class SimNpo(MethodInputs inputs) : LikelihoodObjective(inputs)
{
    /// <inheritdoc/>
    protected override Tensor ForgetLoss(CausalLM model, StepBatch batch)
    {
        var forget = batch.ForgetAnswers();
        var counts = ReferenceLosses.TargetCounts(forget.Labels(model.Device)).clamp_min(1); // a text cut before its answer counts as 0
        return ReferenceLosses.SimNpo(forget.Nll(model), counts, (double)Settings.Beta!, (double)Settings.Delta!) * (double)Settings.Gamma!;
    }
}
