using Falcon.Methods.Terms;
using Falcon.Models;
using static TorchSharp.torch;

namespace Falcon.Methods.Baselines;

/// <summary>
/// Teacher and student: the student leaves the frozen teacher on the forget answers, L_f = -KL_T(frozen || model), during the first share
/// of the steps, and follows it on the retain answers throughout, L_r = gamma CE_r + alpha KL_T(frozen || model). KL_T is T^2 times the
/// divergence of the logits divided by T, mean over tokens. Source: Kurmanji et al., Towards Unbounded Machine Unlearning (NeurIPS 2023),
/// there for images and in alternating epochs; here both in each step.
/// </summary>
/// <param name="inputs">What the method is built from.</param>
public sealed class Scrub(MethodInputs inputs) : LikelihoodObjective(inputs)
{
    private readonly double _forgetSteps = (inputs.Config.HyperParameters.ForgetShare ?? 0) * inputs.Config.Steps;

    /// <summary>T^2 KL(softmax(frozen / T) || softmax(model / T)), mean over the positions of the mask; a float32 scalar.</summary>
    /// <param name="logits">Of the model in training [B, T, V].</param>
    /// <param name="frozenLogits">Of the unchanged model [B, T, V].</param>
    /// <param name="mask">[B, T], bool.</param>
    /// <param name="temperature">T.</param>
    public static Tensor TemperedDivergence(Tensor logits, Tensor frozenLogits, Tensor mask, double temperature)
    {
        using var scope = NewDisposeScope();
        return (
            ReferenceLosses.KullbackLeibler(logits.to(float32) / temperature, frozenLogits.to(float32) / temperature, mask)
            * (temperature * temperature)
        ).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    protected override Tensor? ForgetLoss(CausalLM model, StepBatch batch) =>
        batch.Scheduled.Step < _forgetSteps ? -Divergence(model, batch.ForgetAnswers()) : null;

    /// <inheritdoc/>
    protected override Tensor RetainLoss(CausalLM model, StepBatch batch)
    {
        var retain = batch.RetainAnswers();
        var logits = retain.Logits(model);
        var divergence = TemperedDivergence(
            logits,
            FrozenLogits(retain),
            retain.PredictionMask(model.Device),
            (double)Settings.Temperature!
        );
        return ReferenceLosses.MeanNll(logits, retain.Labels(model.Device)) * (double)Settings.Gamma!
            + divergence * (double)Settings.Alpha!;
    }

    private Tensor Divergence(CausalLM model, AnswerBatch batch) =>
        TemperedDivergence(batch.Logits(model), FrozenLogits(batch), batch.PredictionMask(model.Device), (double)Settings.Temperature!);
}
