using static TorchSharp.torch;

namespace Falcon.Methods.Terms;

/// <summary>
/// The gradients of the two losses for the trained parameters, each in the order of the parameters, in the dtype of the leaves.
/// </summary>
/// <param name="ForgetLoss">The weighted forget loss.</param>
/// <param name="RetainLoss">The weighted retain loss.</param>
/// <param name="Forget">Gradients of the forget loss.</param>
/// <param name="Retain">Gradients of the retain loss.</param>
/// <param name="NormRatio">
/// Mean norm of the updated hidden states of forget texts over that of the frozen ones; null where no term looks at hidden states.
/// </param>
/// <param name="Drift">
/// How far the retain loss without its weight lies above the unchanged model's; null where no term measures it.
/// </param>
/// <param name="Pushed">
/// Mean weight of the forget tokens, 1 at the start and 0 when all is forgotten; null where no term weighs them.
/// </param>
public sealed record ObjectiveGradients(
    double ForgetLoss,
    double RetainLoss,
    IReadOnlyList<Tensor> Forget,
    IReadOnlyList<Tensor> Retain,
    double? NormRatio = null,
    double? Drift = null,
    double? Pushed = null
)
{
    /// <summary>Further numbers of the terms by name, such as an adapted weight; null for none.</summary>
    public IReadOnlyDictionary<string, double>? Measures { get; init; }
}

/// <summary>What the trainer asks of a method in every step: the gradients of a forget and of a retain loss.</summary>
public abstract class Objective : IDisposable
{
    /// <summary>The two gradients of the trained parameters. They belong to the caller's scope.</summary>
    /// <param name="batch">The texts of the step.</param>
    public abstract ObjectiveGradients Gradients(StepBatch batch);

    /// <summary>
    /// Logits [N, C] of the forget loss with a graph to the parameters, for Sophia's curvature estimate; only losses that are a softmax
    /// have them.
    /// </summary>
    /// <exception cref="NotSupportedException">The objective has none.</exception>
    public virtual Tensor CurvatureLogits(StepBatch batch) =>
        throw new NotSupportedException($"{GetType().Name} has no logits for a curvature estimate.");

    /// <summary>Called once after the last step: what is done to the weights as a whole.</summary>
    public virtual void Finish() { }

    /// <summary>Numbers that a resumed run needs, by name; empty for none.</summary>
    public virtual IReadOnlyDictionary<string, double> State => new Dictionary<string, double>();

    /// <summary>Takes back what <see cref="State"/> gave.</summary>
    /// <param name="state">The numbers by name.</param>
    public virtual void Restore(IReadOnlyDictionary<string, double> state) { }

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
