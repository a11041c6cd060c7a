using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;
using Falcon.Engine;
using Falcon.Methods.Terms;
using static TorchSharp.torch;

namespace Falcon.Methods.Baselines;

/// <summary>
/// <c>logitMargin</c>: weight * mean over the answer's positions of (largest logit - mean logit)^2, which flattens the model's choice
/// there.
/// </summary>
public sealed record LogitMargin : ForgetTerm
{
    /// <summary>Weight of the loss.</summary>
    [Range(0, double.MaxValue)]
    public double Weight { get; init; } = 1;

    /// <inheritdoc/>
    [JsonIgnore]
    public override PassNeeds Needs => PassNeeds.Likelihoods | PassNeeds.WholeBatches;

    /// <summary>
    /// The loss, a float32 scalar, over the labelled positions themselves (not shifted), as the published code computes it.
    /// </summary>
    /// <param name="logits">[B, T, V].</param>
    /// <param name="labels">[B, T] int64, <see cref="ReferenceLosses.IgnoredLabel"/> where not scored.</param>
    public static Tensor Of(Tensor logits, Tensor labels)
    {
        using var scope = NewDisposeScope();
        var rows = TokenRows.Select(logits, labels.ne(ReferenceLosses.IgnoredLabel)); // [M, V]
        return (rows.amax(1) - rows.mean([1])).square().mean().MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override ForgetLoss Build(TermInputs inputs) => new MarginLoss(Weight);

    private sealed class MarginLoss(double weight) : ForgetLoss
    {
        public override Tensor Loss(StepPass pass) => Of(pass.AnswerLogits, pass.Labels()) * weight;
    }
}

/// <summary>
/// <c>lossLimit</c>: the constraint CE_r &lt;= limit as lambda (CE_r - limit). The multiplier lambda begins at the weight; after the
/// warm-up each step makes it max(0, lambda + rate (CE_r - limit)). The multiplier of each step stands in metrics.jsonl.
/// </summary>
public sealed record LossLimit : RetainTerm
{
    /// <summary>Slack in nats over the unchanged model's loss where no limit is given.</summary>
    public const double Slack = 0.1;

    /// <summary>The multiplier begins at 100, as published.</summary>
    public LossLimit() => Weight = [100];

    /// <summary>
    /// Largest mean loss of the retain answers in nats; null takes that of the unchanged model on the first batches plus 0.1.
    /// </summary>
    [Range(0, double.MaxValue)]
    public double? Limit { get; init; } = 0.3;

    /// <summary>How far the multiplier moves for each nat over or under the limit.</summary>
    [Range(0, double.MaxValue)]
    public double Rate { get; init; } = 5;

    /// <summary>Epochs over the forget texts in which the multiplier stays as it begins.</summary>
    [Range(0, double.MaxValue)]
    public double WarmupEpochs { get; init; } = 5;

    /// <inheritdoc/>
    [JsonIgnore]
    public override PassNeeds Needs => PassNeeds.Likelihoods | PassNeeds.WholeBatches;

    /// <inheritdoc/>
    public override IEnumerable<string> Faults(TermUse use)
    {
        foreach (var fault in base.Faults(use)) yield return fault;
        if (Weight.Count > 1) yield return "weight: the multiplier is one for all forget files; give one number";
    }

    /// <inheritdoc/>
    public override RetainLoss Build(TermInputs inputs)
    {
        var stepsOfEpoch = inputs.Topics.Sum(topic => (topic.Forget.Count + inputs.Data.BatchSize - 1) / inputs.Data.BatchSize);
        return new MultipliedLoss(Weight[0], Limit ?? OfUnchanged(inputs) + Slack, Rate, (int)Math.Round(WarmupEpochs * stepsOfEpoch));
    }

    // Answers of the first retain texts of every topic under the unchanged model.
    private static double OfUnchanged(TermInputs inputs)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        return inputs.Topics.Average(topic =>
        {
            inputs.Cancellation.ThrowIfCancellationRequested();
            using var inner = NewDisposeScope();
            var count = Math.Min(topic.Retain.Count, inputs.Data.BatchSize);
            var batch = new AnswerBatch([.. topic.Retain.Take(count)], [.. topic.RetainAnswers.Take(count)], inputs.PadId);
            return (double)batch.MeanNll(inputs.Frozen).item<float>();
        });
    }
}

/// <summary>The loss of the retain answers under an adapted multiplier.</summary>
/// <param name="start">The first multiplier.</param>
/// <param name="limit">The limit in nats.</param>
/// <param name="rate">How far the multiplier moves for each nat.</param>
/// <param name="warmupSteps">Steps in which it stays.</param>
internal sealed class MultipliedLoss(double start, double limit, double rate, int warmupSteps) : RetainLoss
{
    private const string Name = "lossLimit.multiplier";
    private double _multiplier = start;
    private double _used = start;

    public override IReadOnlyDictionary<string, double> Measures => new Dictionary<string, double> { [Name] = _used };

    public override IReadOnlyDictionary<string, double> State => new Dictionary<string, double> { [Name] = _multiplier };

    public override void Restore(IReadOnlyDictionary<string, double> state) => _multiplier = state[Name];

    public override double StepWeight(double weight) => _used = _multiplier;

    public override Tensor Loss(StepPass pass) => pass.AnswerMeanNll();

    public override void AfterStep(int step, double loss)
    {
        if (step >= warmupSteps) _multiplier = Math.Max(0, _multiplier + rate * (loss - limit));
    }
}

/// <summary>Primal-dual unlearning.</summary>
internal static class Pdu
{
    public static UnlearningMethod Method { get; } =
        UnlearningMethod.Of(
            "pdu",
            "Primal-dual unlearning: L = mean (largest logit - mean logit)^2 over the forget answers + lambda (CE_r - eps); after a "
                + "warm-up lambda becomes max(0, lambda + eta (CE_r - eps)) in every step.",
            "Constrained Entropic Unlearning: A Primal-Dual Framework for Large Language Models (2025); settings as in OpenUnlearning for "
                + "TOFU",
            PublishedSettings.WholeModel(new ObjectiveSettings { Forget = [new LogitMargin()], Retain = [new LossLimit()] }),
            PublishedSettings.RatesAndStrength("eta", "objective.retain.lossLimit.rate", 5, 1)
        );
}
