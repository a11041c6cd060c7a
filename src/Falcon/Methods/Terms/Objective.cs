using Falcon.Engine;
using Falcon.Methods.Falcon;
using static TorchSharp.torch;

namespace Falcon.Methods.Terms;

/// <summary>
/// What a method asks of the trainer in every step: the gradients of a forget and of a retain loss. All methods differ only here;
/// batches, combination of the gradients and the update are the same for all.
/// </summary>
public abstract class Objective : IDisposable
{
    /// <summary>The two gradients of the trained parameters. They belong to the caller's scope.</summary>
    /// <param name="batch">The texts of the step.</param>
    public abstract ObjectiveGradients Gradients(StepBatch batch);

    /// <summary>
    /// Logits [N, C] of the forget loss with a graph to the parameters, for Sophia's curvature estimate; only losses that are a softmax
    /// have them.
    /// </summary>
    /// <exception cref="NotSupportedException">The method has none.</exception>
    public virtual Tensor CurvatureLogits(StepBatch batch) =>
        throw new NotSupportedException($"{GetType().Name} has no logits for a curvature estimate.");

    /// <summary>
    /// Called once after the last step: what a method does to the weights as a whole. The task vector is subtracted here; SSD, which has no
    /// steps, does all its work here.
    /// </summary>
    public virtual void Finish() { }

    /// <summary>
    /// A loss and its gradients for the trained parameters, which belong to the caller's scope; zeros for a loss that is left out.
    /// </summary>
    /// <param name="loss">A float32 scalar with a graph to the leaves; null where the step has no such loss.</param>
    /// <param name="trained">The parameters.</param>
    protected static (double Loss, IReadOnlyList<Tensor> Gradients) Differentiate(Tensor? loss, TrainedParameters trained)
    {
        if (loss is null) return (0, [.. trained.Leaves.Select(leaf => zeros_like(leaf, requires_grad: false))]);
        return (loss.item<float>(), [.. autograd.grad([loss], [.. trained.Leaves])]);
    }

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
