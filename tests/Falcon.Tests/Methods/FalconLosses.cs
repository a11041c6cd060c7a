using Falcon.Data;
using Falcon.Engine;
using Falcon.Methods.Falcon;
using Falcon.Methods.Terms;
using Falcon.Models;
using static TorchSharp.torch;

namespace Falcon.Tests.Methods;

/// <summary>FALCON's losses on given token batches with a given offset vector, without a run around them.</summary>
internal sealed class FalconLosses(CausalLM frozen, TrainedParameters trained, int target)
{
    /// <summary>Contrastive loss and hidden states with weight 1, unless a test says otherwise.</summary>
    public ObjectiveSettings Settings { get; init; } = new() { Forget = [new Contrastive()], Retain = [new HiddenStates { Weight = [1] }] };

    public bool CountPadding { get; init; }

    public PaddingRows PaddingRows { get; init; }

    public bool Plainly { get; init; }

    public int MicroBatchTokens { get; init; }

    public IReadOnlyList<TokenBatch> FirstRetainBatches { get; init; } = [];

    public TermInputs Inputs =>
        new(frozen, trained)
        {
            Passes = new LayerPasses(frozen, trained, target),
            Data = new DataSettings { CountPadding = CountPadding, Forget = ["forget"] },
            PaddingRows = PaddingRows,
            Plainly = Plainly,
            MicroBatchTokens = MicroBatchTokens,
            FirstRetainBatches = FirstRetainBatches,
        };

    public ObjectiveGradients Gradients(TokenBatch forget, TokenBatch retain, Tensor offset, Generator? generator = null)
    {
        using var objective = Objective(offset);
        return objective.Gradients(Step(forget, retain, generator));
    }

    /// <summary>The objective with the offset vector; forget terms but the contrastive one are built as in a run.</summary>
    public ComposedObjective Objective(Tensor offset)
    {
        var inputs = Inputs;
        IReadOnlyList<ForgetLoss> losses =
        [
            .. Settings.Forget.Select(term =>
                term is Contrastive contrastive ? new ContrastiveStatesLoss(contrastive, _ => offset) : term.Build(inputs)
            ),
        ];
        return new ComposedObjective(Settings, inputs, losses);
    }

    public static StepBatch Step(TokenBatch forget, TokenBatch retain, Generator? generator = null) =>
        new(
            new ScheduledBatch(0, 0, [], []),
            new TopicTexts(forget.Sequences, retain.Sequences, [], []),
            forget,
            retain,
            0,
            generator!
        );
}
