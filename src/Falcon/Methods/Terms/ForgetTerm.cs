using System.Text.Json.Serialization;
using static TorchSharp.torch;

namespace Falcon.Methods.Terms;

/// <summary>Settings of a loss on the forget texts.</summary>
public abstract record ForgetTerm : Term
{
    /// <summary>Whether the loss is a softmax whose logits give Sophia an estimate of the curvature.</summary>
    [JsonIgnore]
    public virtual bool HasCurvature => false;

    /// <summary>The loss for a run; the caller owns it.</summary>
    /// <param name="inputs">Models, texts, seed.</param>
    public abstract ForgetLoss Build(TermInputs inputs);
}

/// <summary>A loss on the forget texts of a step. Keeps what it needs from step to step and releases it at the end.</summary>
public abstract class ForgetLoss : IDisposable
{
    /// <summary>
    /// Weights of the counted tokens [M] in losses of hidden states, without gradient; null for 1. Asked before any loss of the step.
    /// </summary>
    /// <param name="pass">The texts and what the models make of them.</param>
    public virtual Tensor? TokenWeights(StepPass pass) => null;

    /// <summary>
    /// The weighted loss, a float32 scalar with a graph to the trained parameters; null in a step without one. Intermediate tensors belong
    /// to the caller's scope.
    /// </summary>
    /// <param name="pass">The texts and what the models make of them.</param>
    public abstract Tensor? Loss(StepPass pass);

    /// <summary>
    /// Logits [N, C] of the loss with a graph to the trained parameters, where it is a softmax; null where not. They belong to the caller's
    /// scope.
    /// </summary>
    /// <param name="pass">The texts.</param>
    public virtual Tensor? CurvatureLogits(StepPass pass) => null;

    /// <summary>Releases kept tensors.</summary>
    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Releases kept tensors.</summary>
    /// <param name="disposing">Whether <see cref="Dispose()"/> was called.</param>
    protected virtual void Dispose(bool disposing) { }
}

/// <summary>A forget loss made of hidden states at the target layer. Adversaries ask for it at other states.</summary>
public abstract class StatesLoss : ForgetLoss
{
    /// <summary>The loss at given hidden states, a float32 scalar.</summary>
    /// <param name="updated">Of the model in training [B, T, H].</param>
    /// <param name="frozen">Of the unchanged model [B, T, H].</param>
    /// <param name="pass">The texts.</param>
    /// <param name="weighted">Whether <see cref="StepPass.TokenWeights"/> apply.</param>
    public abstract Tensor At(Tensor updated, Tensor frozen, StepPass pass, bool weighted = true);

    /// <inheritdoc/>
    public sealed override Tensor Loss(StepPass pass) => At(pass.States.Updated, pass.States.Frozen, pass);
}

/// <summary>
/// An adversary: gives hidden states at which a <see cref="StatesLoss"/> is high, and which count as much as those of the texts.
/// </summary>
public abstract class AdversaryLoss : ForgetLoss
{
    /// <summary>Hidden states under attack, updated and frozen, both [B, T, H].</summary>
    /// <param name="loss">The loss that the adversary makes high.</param>
    /// <param name="pass">The texts.</param>
    public abstract (Tensor Updated, Tensor Frozen) Attack(StatesLoss loss, StepPass pass);

    /// <summary>None of its own.</summary>
    public sealed override Tensor? Loss(StepPass pass) => null;
}
