using Falcon.Engine;
using Falcon.Methods.Falcon;
using Falcon.Models;
using Falcon.Runs.Configuration;
using static TorchSharp.torch;

namespace Falcon.Methods.Terms;

/// <summary>
/// A method whose losses are made of next-token likelihoods of the whole model: L = forget loss + retain loss, each already weighted.
/// The frozen model is needed only by methods that compare with it.
/// </summary>
/// <param name="inputs">What the method is built from.</param>
public abstract class LikelihoodObjective(MethodInputs inputs) : Objective
{
    /// <summary>The unchanged model.</summary>
    protected CausalLM Frozen => inputs.Frozen;

    /// <summary>The parameters in training.</summary>
    protected TrainedParameters Trained => inputs.Trained;

    /// <summary>The hyper-parameters of the method.</summary>
    protected MethodConfig Settings => inputs.Config.HyperParameters;

    /// <inheritdoc/>
    public sealed override ObjectiveGradients Gradients(StepBatch batch)
    {
        using var scope = NewDisposeScope();
        var model = inputs.Trained.Updated(inputs.Frozen);
        var (forgetLoss, forget) = OfForget(model, batch);
        var (retainLoss, retain) = OfRetain(model, batch);
        return new ObjectiveGradients(
            forgetLoss,
            retainLoss,
            [.. forget.Select(g => g.MoveToOuterDisposeScope())],
            [.. retain.Select(g => g.MoveToOuterDisposeScope())]
        );
    }

    /// <summary>
    /// The weighted forget loss, a float32 scalar; null in a step without one. Runs in a scope that takes all intermediate tensors.
    /// </summary>
    /// <param name="model">The model in training.</param>
    /// <param name="batch">The texts of the step.</param>
    protected abstract Tensor? ForgetLoss(CausalLM model, StepBatch batch);

    /// <summary>
    /// The weighted retain loss, in the same form; unless a method says otherwise alpha * CE of the retain answers, and none where alpha is
    /// 0 or not a setting of the method.
    /// </summary>
    /// <param name="model">The model in training.</param>
    /// <param name="batch">The texts of the step.</param>
    protected virtual Tensor? RetainLoss(CausalLM model, StepBatch batch) =>
        Settings.Alpha is > 0 and var alpha ? batch.RetainAnswers().MeanNll(model) * alpha : null;

    /// <summary>Logits [B, T, V] of the unchanged model, without gradient.</summary>
    /// <param name="batch">The texts.</param>
    protected Tensor FrozenLogits(AnswerBatch batch)
    {
        using var noGrad = no_grad();
        return batch.Logits(Frozen);
    }

    // A scope each, so that the activations of the first pass are gone before the second.
    private (double Loss, IReadOnlyList<Tensor> Gradients) OfForget(CausalLM model, StepBatch batch)
    {
        using var scope = NewDisposeScope();
        var (loss, gradients) = Differentiate(ForgetLoss(model, batch), inputs.Trained);
        return (loss, [.. gradients.Select(gradient => gradient.MoveToOuterDisposeScope())]);
    }

    private (double Loss, IReadOnlyList<Tensor> Gradients) OfRetain(CausalLM model, StepBatch batch)
    {
        using var scope = NewDisposeScope();
        var (loss, gradients) = Differentiate(RetainLoss(model, batch), inputs.Trained);
        return (loss, [.. gradients.Select(gradient => gradient.MoveToOuterDisposeScope())]);
    }
}
