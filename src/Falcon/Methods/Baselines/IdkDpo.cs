using Falcon.Methods.Terms;
using Falcon.Models;
using static TorchSharp.torch;

namespace Falcon.Methods.Baselines;

/// <summary>
/// Direct preference optimisation towards "I do not know": L = gamma * -(2/beta) mean log sigmoid(beta ((NLL_f - NLL_f,frozen) - (NLL_idk -
/// NLL_idk,frozen))) + alpha CE_r, idk being a refusal that stands for the answer. Source: Rafailov et al. (2023) as used by Maini et al.,
/// TOFU (2024).
/// </summary>
/// <param name="inputs">What the method is built from.</param>
public sealed class IdkDpo(MethodInputs inputs) : LikelihoodObjective(inputs)
{
    private readonly ReferenceNll _reference = new(inputs.Frozen, inputs.PadId);
    private readonly IReadOnlyList<IReadOnlyList<int[]>> _refusals = RefusalTexts.Instead(
        inputs.Topics,
        inputs.Tokenizer,
        inputs.Config.Data,
        inputs.Config.Seed
    );

    /// <inheritdoc/>
    protected override Tensor ForgetLoss(CausalLM model, StepBatch batch)
    {
        var forget = batch.ForgetAnswers();
        var refusal = new AnswerBatch(
            [.. batch.Scheduled.Forget.Select(i => _refusals[batch.Scheduled.Topic][i])],
            forget.AnswerFrom,
            batch.PadId
        );
        var loss = ReferenceLosses.Dpo(
            refusal.Nll(model),
            _reference.Of(refusal),
            forget.Nll(model),
            _reference.Of(forget),
            (double)Settings.Beta!
        );
        return loss * (double)Settings.Gamma!;
    }
}
