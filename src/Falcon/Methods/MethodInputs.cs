using Falcon.Engine;
using Falcon.Models;
using Falcon.Runs.Configuration;
using Falcon.Runtime;
using Falcon.Tokenization;

namespace Falcon.Methods;

/// <summary>What a method may be built from; all of it is borrowed.</summary>
/// <param name="Config">Settings of the run.</param>
/// <param name="Frozen">The unchanged model.</param>
/// <param name="Trained">The parameters in training.</param>
/// <param name="Target">
/// The layer whose output enters the losses of methods that look at activations; null where the whole model is trained.
/// </param>
/// <param name="Topics">Forget domains with their retain sets.</param>
/// <param name="Tokenizer">The model's tokenizer.</param>
/// <param name="PadId">Padding id.</param>
/// <param name="Log">Progress.</param>
/// <param name="Cancellation">Stops the preparation.</param>
public sealed record MethodInputs(
    UnlearnConfig Config,
    CausalLM Frozen,
    TrainedParameters Trained,
    int? Target,
    IReadOnlyList<TopicTexts> Topics,
    HfTokenizer Tokenizer,
    int PadId,
    IRunLog Log,
    CancellationToken Cancellation
)
{
    /// <summary>
    /// The layers from the lowest trained to the target, where the frozen model is read layer by layer; null for the frozen model itself.
    /// </summary>
    public CausalLM? Suffix { get; init; }

    /// <summary>What the frozen model makes of the texts of the run; null computes it in every step.</summary>
    public ActivationCache? Cache { get; init; }

    /// <summary>The model whose outputs are kept; null for the frozen one.</summary>
    public CausalLM? Teacher { get; init; }

    /// <summary>The retain batches of the first steps of the run, for what is measured before it starts.</summary>
    public IReadOnlyList<TokenBatch> FirstRetainBatches { get; init; } = [];

    /// <summary>The forward passes up to the target layer.</summary>
    /// <exception cref="InvalidOperationException">There is no target layer.</exception>
    public LayerPasses Passes() => new(Suffix ?? Frozen, Trained, TargetLayer, cache: Cache) { Teacher = Teacher };

    /// <summary>The target layer of a method that needs one.</summary>
    /// <exception cref="InvalidOperationException">There is none.</exception>
    public int TargetLayer => Target ?? throw new InvalidOperationException($"The method {Config.Method} needs a target layer.");
}
