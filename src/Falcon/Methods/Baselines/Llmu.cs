using Falcon.Methods.Terms;
using Falcon.Models;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Methods.Baselines;

/// <summary>
/// Large language model unlearning: L = -gamma CE_f + lambda CE of each forget prompt with K random answers of the retain set + alpha
/// KL(frozen || model) on the retain texts. Source: Yao et al., Large Language Model Unlearning (2023).
/// </summary>
/// <param name="inputs">What the method is built from.</param>
public sealed class Llmu(MethodInputs inputs) : LikelihoodObjective(inputs)
{
    private readonly ulong _seed = inputs.Config.Seed;

    /// <inheritdoc/>
    protected override Tensor ForgetLoss(CausalLM model, StepBatch batch)
    {
        var forget = batch.ForgetAnswers();
        return forget.MeanNll(model) * -(double)Settings.Gamma! + Mismatched(forget, batch).MeanNll(model) * (double)Settings.Lambda!;
    }

    /// <inheritdoc/>
    protected override Tensor RetainLoss(CausalLM model, StepBatch batch)
    {
        var retain = batch.RetainAnswers();
        return ReferenceLosses.KullbackLeibler(retain.Logits(model), FrozenLogits(retain), retain.AttentionMask(model.Device))
            * (double)Settings.Alpha!;
    }

    /// <summary>Every forget prompt with K random answers, B K texts.</summary>
    private AnswerBatch Mismatched(AnswerBatch forget, StepBatch batch)
    {
        var random = new SeededRandom(_seed, "random answers", batch.Scheduled.Step);
        List<int[]> texts = [];
        List<int> answerFrom = [];
        for (var i = 0; i < forget.Texts.Count; i++)
        {
            for (var k = 0; k < Settings.RandomAnswers; k++)
            {
                var other = random.Next(batch.Texts.Retain.Count);
                var prompt = forget.Texts[i][..(forget.AnswerFrom[i] + 1)];
                texts.Add([.. prompt, .. batch.Texts.Retain[other][(batch.Texts.RetainAnswers[other] + 1)..]]);
                answerFrom.Add(forget.AnswerFrom[i]);
            }
        }

        return new AnswerBatch(texts, answerFrom, batch.PadId);
    }
}
