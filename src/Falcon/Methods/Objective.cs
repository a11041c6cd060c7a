using static TorchSharp.torch;

namespace Falcon.Methods;

/// <summary>
/// What a method asks of the trainer in every step: the gradients of a forget and of a retain loss. All methods differ only here;
/// batches, combination of the gradients and the update are the same for all.
/// </summary>
public abstract class Objective : IDisposable
{
    /// <summary>The two gradients of the trained parameters. They belong to the caller's scope.</summary>
    /// <param name="batch">The texts of the step.</param>
    public abstract ObjectiveGradients Gradients(StepBatch batch);

    /// <summary>Logits [N, C] of the forget loss with a graph to the parameters, for Sophia's curvature estimate; only losses that are a softmax have them.</summary>
    /// <exception cref="NotSupportedException">The method has none.</exception>
    public virtual Tensor CurvatureLogits(StepBatch batch) => throw new NotSupportedException($"{GetType().Name} has no logits for a curvature estimate.");

    /// <summary>Called once after the last step; changes the trained parameters in place where the method says so (task vector).</summary>
    public virtual void Finish() { }

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
