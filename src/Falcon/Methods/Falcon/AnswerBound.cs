using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Text.Json.Serialization;
using Falcon.Engine;
using Falcon.Evaluation;
using Falcon.Methods.Terms;
using Falcon.Models;
using static TorchSharp.torch;

namespace Falcon.Methods.Falcon;

/// <summary>
/// <c>bound</c>: sets the point where forgetting ends. Once the answer of a text is as unlikely as one that was never learned, the text is
/// pushed no further: the weight of its tokens in losses of hidden states is sigmoid((level - loss) / width). Extension, not in the paper.
/// </summary>
public sealed record AnswerBound : ForgetTerm
{
    /// <summary>
    /// Mean loss over an answer's tokens, in nats, at which the weight of its text is one half. Null takes the monitor's estimate for a
    /// model that never learned the answer or, without a monitor, the loss that token frequencies give.
    /// </summary>
    [Range(0, double.MaxValue, MinimumIsExclusive = true)]
    public double? Level { get; init; }

    /// <summary>Softness of the bound in nats.</summary>
    [Range(0, double.MaxValue, MinimumIsExclusive = true)]
    public double Width { get; init; } = 0.5;

    /// <inheritdoc/>
    [JsonIgnore]
    public override PassNeeds Needs => PassNeeds.TargetStates | PassNeeds.LayersAbove;

    /// <inheritdoc/>
    public override ForgetLoss Build(TermInputs inputs)
    {
        var target = inputs.RequiredPasses.Target;
        // The layers above the target as they are now; the unchanged model's where none of them is trained.
        var trainsAbove = inputs.Trained.Names.Any(name => TrainedParameters.LayerOf(name) > target || WeightNames.IsEmbedding(name));
        var model = trainsAbove ? inputs.Trained.Updated(inputs.Frozen) : inputs.Frozen;
        return new Bound(new ForgetBound(model, target, Width), Levels(inputs));
    }

    private List<double> Levels(TermInputs inputs)
    {
        List<double> levels = [.. inputs.Topics.Select(topic => Level ?? inputs.NeverLearnedLoss ?? OfTokenFrequencies(topic))];
        inputs.Log.Information(
            "a text counts as forgotten at a loss of "
                + $"{string.Join(", ", levels.Select(level => level.ToString("F2", CultureInfo.InvariantCulture)))} nats a token"
        );
        return levels;
    }

    private static double OfTokenFrequencies(TopicTexts topic) =>
        NeverLearnedLevel.OfTokenFrequencies(
            topic.Forget,
            topic.ForgetAnswers,
            [.. topic.Retain.SkipLast(topic.Generated)],
            [.. topic.RetainAnswers.SkipLast(topic.Generated)]
        );

    private sealed class Bound(ForgetBound bound, IReadOnlyList<double> levels) : ForgetLoss
    {
        public override Tensor? TokenWeights(StepPass pass) =>
            bound.Weights(pass.States.Updated, pass.Texts, pass.Mask, levels[pass.Step.Scheduled.Topic]);

        public override Tensor? Loss(StepPass pass) => null;
    }
}
