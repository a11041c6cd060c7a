using System.Text.Json.Serialization;
using Falcon.Engine;
using static TorchSharp.torch;

namespace Falcon.Methods.Terms;

/// <summary>
/// <c>tokens</c>: the cross-entropy of every next token of the retain texts, as in training. Of the frozen model's other knowledge it
/// passes on only what the generated texts say; it takes more steps than <see cref="Outputs"/>. Every step runs the whole model.
/// </summary>
public sealed record Tokens : RetainTerm
{
    /// <inheritdoc/>
    [JsonIgnore]
    public override PassNeeds Needs => PassNeeds.Outputs;

    /// <inheritdoc/>
    [JsonIgnore]
    public override bool SeesDrift => true;

    /// <inheritdoc/>
    public override IEnumerable<string> Faults(TermUse use) => [.. base.Faults(use), .. Outputs.OfWholePasses(use)];

    /// <inheritdoc/>
    public override RetainLoss Build(TermInputs inputs) =>
        inputs.Passes is { } passes ? new TokensLoss(passes, OfUnchanged(passes, inputs)) : new WholeTextLoss();

    // The loss of the unchanged model on the first retain batches, from which drift is counted.
    private static double OfUnchanged(LayerPasses passes, TermInputs inputs)
    {
        if (inputs.FirstRetainBatches.Count == 0) return 0;
        return inputs.FirstRetainBatches.Average(batch =>
            batch
                .Split(inputs.MicroBatchTokens)
                .Sum(part =>
                {
                    inputs.Cancellation.ThrowIfCancellationRequested();
                    using var scope = NewDisposeScope();
                    return passes.FrozenNextTokenLosses(part).sum().item<float>() / batch.CountedTokens;
                })
        );
    }

    private sealed class TokensLoss(LayerPasses passes, double unchanged) : RetainLoss
    {
        public override double? Unchanged => unchanged;

        public override Tensor Loss(StepPass pass) => Weighted(pass, 1);

        public override Tensor Weighted(StepPass pass, double weight) =>
            weight * passes.NextTokenLosses(pass.Texts).sum() / pass.Texts.CountedTokens;
    }

    // Without a target layer: every token of a text but its first is a label.
    private sealed class WholeTextLoss : RetainLoss
    {
        public override Tensor Loss(StepPass pass) =>
            new AnswerBatch(pass.Answers.Texts, [.. pass.Answers.Texts.Select(_ => 0)], pass.Step.PadId).MeanNll(pass.Model);
    }
}
