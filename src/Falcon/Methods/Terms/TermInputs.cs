using Falcon.Data;
using Falcon.Engine;
using Falcon.Models;
using Falcon.Runtime;
using Falcon.Tokenization;

namespace Falcon.Methods.Terms;

/// <summary>What the terms of an objective are built from; all of it is borrowed. Only what a term uses need be given.</summary>
/// <param name="Frozen">The unchanged model.</param>
/// <param name="Trained">The parameters in training.</param>
public sealed record TermInputs(CausalLM Frozen, TrainedParameters Trained)
{
    /// <summary>The forward passes up to the target layer; null where the objective looks at no hidden states.</summary>
    public LayerPasses? Passes { get; init; }

    /// <summary>Forget domains with their retain sets.</summary>
    public IReadOnlyList<TopicTexts> Topics { get; init; } = [];

    /// <summary>Batches, counted tokens, padding.</summary>
    public DataSettings Data { get; init; } = new();

    /// <summary>The model's tokenizer and the form of the texts; null where the texts are token ids alone.</summary>
    public PromptEncoder? Prompts { get; init; }

    /// <summary>Padding id.</summary>
    public int PadId { get; init; }

    /// <summary>Seed of everything random.</summary>
    public ulong Seed { get; init; }

    /// <summary>Steps of the run.</summary>
    public int Steps { get; init; }

    /// <summary>Two whole passes in every step instead of a shared prefix; for comparison.</summary>
    public bool Plainly { get; init; }

    /// <summary>What left padding attends to; matters only where padding counts.</summary>
    public PaddingRows PaddingRows { get; init; }

    /// <summary>Padded tokens of a part of a batch, whose gradients are added up; 0 for whole batches.</summary>
    public int MicroBatchTokens { get; init; }

    /// <summary>The retain batches of the first steps, for what is measured before the run.</summary>
    public IReadOnlyList<TokenBatch> FirstRetainBatches { get; init; } = [];

    /// <summary>
    /// Mean loss in nats of an answer's tokens under a model that never learned it, where the run has an estimate; null where not.
    /// </summary>
    public double? NeverLearnedLoss { get; init; }

    /// <summary>Where texts that a term makes once are kept for a resumed run.</summary>
    public TextKeeper Texts { get; init; } = TextKeeper.InMemory;

    /// <summary>Progress and messages.</summary>
    public IRunLog Log { get; init; } = SilentRunLog.Instance;

    /// <summary>Stops the preparation.</summary>
    public CancellationToken Cancellation { get; init; }

    /// <summary>The passes of a term that looks at hidden states.</summary>
    /// <exception cref="InvalidOperationException">There is no target layer.</exception>
    internal LayerPasses RequiredPasses =>
        Passes
        ?? throw new InvalidOperationException(
            "A term asks for hidden states at the target layer: add PassNeeds.TargetStates to its Needs."
        );

    /// <summary>Tokenizer and form of a term that writes or reads text.</summary>
    /// <exception cref="InvalidOperationException">There is none.</exception>
    internal PromptEncoder RequiredPrompts => Prompts ?? throw new InvalidOperationException("The term needs a tokenizer.");
}
