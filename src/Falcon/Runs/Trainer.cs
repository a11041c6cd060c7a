using System.Diagnostics;
using Falcon.Engine;
using Falcon.Methods;
using Falcon.Methods.Falcon;
using Falcon.Methods.Terms;
using Falcon.Optimization;
using Falcon.Runs.Configuration;
using Falcon.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Falcon.Runs;

/// <summary>
/// The one training loop: batch, two gradients, their combination, update; every tensor of a step lives in the step's scope and only
/// numbers leave it.
/// </summary>
public sealed class Trainer(
    UnlearnConfig config,
    IReadOnlyList<TopicTexts> topics,
    Objective objective,
    TrainedParameters trained,
    Optimizer optimizer,
    int padId
)
{
    // A run that turns the retain activations away from where they were is ruining the model (mean 1 - cos over this many steps, or nats of
    // the next-token distributions).
    private const int DriftWindow = 20;
    private const double LargestDrift = 0.5;

    private readonly StepBatches _batches = new(config, topics, padId);
    private readonly LearningRateSchedule _rates = new(
        config.Optimizer.LearningRate,
        config.Steps,
        config.Optimizer.Decay,
        config.Optimizer.WarmupSteps
    );
    private readonly Queue<double> _drifts = new();

    /// <summary>One step.</summary>
    /// <param name="step">The step, from 0; decides batch, topic and random numbers together with the seed.</param>
    /// <exception cref="NumericalFailureException">
    /// A loss, gradient or update is not finite, or the retain activations drift away; the message has step and magnitudes.
    /// </exception>
    public StepMetrics Step(int step)
    {
        using var scope = NewDisposeScope();
        var clock = Stopwatch.StartNew();
        var (scheduled, forget, retain) = _batches.At(step);
        using var generator = new Generator(new SeededRandom(config.Seed, $"step {step}").NextUInt64(), torch.CPU);
        var batch = new StepBatch(scheduled, topics[scheduled.Topic], forget, retain, padId, generator);
        if (optimizer is Sophia { NeedsCurvature: true } sophia) UpdateCurvature(sophia, batch);

        var gradients = objective.Gradients(batch);
        if (!double.IsFinite(gradients.ForgetLoss) || !double.IsFinite(gradients.RetainLoss))
            throw new NumericalFailureException(
                FormattableString.Invariant(
                    $"Step {step}: a loss is not finite (forget {gradients.ForgetLoss}, retain {gradients.RetainLoss}). Lower optimizer.learningRate ({config.Optimizer.LearningRate})."
                )
            );
        var mixes = Mix(gradients, step);
        optimizer.LearningRate = _rates.At(step);
        var updateNorm = Math.Sqrt(Update(gradients, mixes));
        if (!double.IsFinite(updateNorm))
            throw new NumericalFailureException(
                FormattableString.Invariant(
                    $"Step {step}: the update is not finite. Lower optimizer.learningRate ({config.Optimizer.LearningRate})."
                )
            );
        if (gradients.Drift is { } drift)
            WatchDrift(step, drift);
        return new StepMetrics(
            step,
            scheduled.Topic,
            gradients.ForgetLoss,
            gradients.RetainLoss,
            trained.Names.Zip(mixes).ToDictionary(item => item.First, item => item.Second.Cosine),
            mixes.Count(mix => mix.Conflict),
            updateNorm,
            gradients.NormRatio,
            optimizer.LearningRate,
            forget.TokenCount + retain.TokenCount,
            clock.Elapsed.TotalSeconds
        );
    }

    // All gradients are looked at before the first parameter changes: a step is made whole or not at all.
    private List<GradientMix> Mix(ObjectiveGradients gradients, int step)
    {
        List<GradientMix> mixes = [];
        var settings = config.Combination;
        var weights = new ConflictWeights(
            settings.ConflictWeights[0],
            settings.ConflictWeights[1],
            settings.AlignedWeights[0],
            settings.AlignedWeights[1]
        );
        for (var i = 0; i < trained.Names.Count; i++)
        {
            try
            {
                var mix = GradientCombination.Mix(gradients.Forget[i], gradients.Retain[i], weights, settings.ZeroNormThreshold);
                mixes.Add(settings.Kind == GradientCombinationKind.ConflictProjection ? mix : mix with { Forget = 1, Retain = 1 });
            }
            catch (NumericalFailureException e)
            {
                throw new NumericalFailureException(
                    FormattableString.Invariant(
                        $"Step {step}, {trained.Names[i]}: {e.Message} Lower optimizer.learningRate ({config.Optimizer.LearningRate})."
                    ),
                    e
                );
            }
        }

        return mixes;
    }

    // Combination, update and rounding to the compute dtype in one pass over blocks: no tensor of a parameter's size is made.
    private double Update(ObjectiveGradients gradients, List<GradientMix> mixes)
    {
        double change = 0;
        optimizer.BeginStep();
        for (var i = 0; i < trained.Names.Count; i++)
        {
            using var scope = NewDisposeScope();
            var (index, mix) = (i, mixes[i]);
            var (forget, retain) = (gradients.Forget[i].reshape(-1), gradients.Retain[i].reshape(-1));
            change += optimizer.UpdateParameter(
                i,
                (start, count) =>
                    GradientCombination.WeightedSum(forget.narrow(0, start, count), retain.narrow(0, start, count), mix.Forget, mix.Retain),
                (start, values) => trained.Refresh(index, start, values)
            );
        }

        return change;
    }

    private void UpdateCurvature(Sophia sophia, StepBatch batch)
    {
        // Labels are sampled where the logits are, negatives always on the processor.
        using var labels = new Generator(
            new SeededRandom(config.Seed, "curvature labels", sophia.StepCount).NextUInt64(),
            trained.Leaves[0].device
        );
        sophia.UpdateCurvature(CurvatureEstimate.GaussNewtonBartlett(() => objective.CurvatureLogits(batch), trained.Leaves, labels));
    }

    private void WatchDrift(int step, double drift)
    {
        _drifts.Enqueue(drift);
        if (_drifts.Count > DriftWindow) _drifts.Dequeue();
        // A run that begins with noise begins far away, and has to have come back at its end, however few steps it had or has been resumed
        // for.
        var noise = config.Layers.StartNoise;
        if (noise > 0 ? step < config.Steps - 1 : _drifts.Count < DriftWindow) return;
        var mean = _drifts.Average();
        if (mean <= LargestDrift)
            return;
        throw new NumericalFailureException(
            noise > 0
                ? FormattableString.Invariant(
                    $"Step {step}: the noise of the start is not made good: over the last {_drifts.Count} steps the retain loss without its weight is {mean:F2} above the unchanged model's on average (at most {LargestDrift}). Raise steps ({config.Steps}) or data.retainBatchSize, or lower layers.startNoise ({noise})."
                )
                : FormattableString.Invariant(
                    $"Step {step}: the run diverges: over the last {DriftWindow} steps {(config.Loss.Retain switch { RetainLossKind.Outputs => "the next-token distributions of the retain texts have moved by KL", RetainLossKind.Tokens => "the retain texts' loss has risen by", _ => "the retain activations have turned away by 1 - cos" })} = {mean:F2} on average. Lower optimizer.learningRate ({config.Optimizer.LearningRate}) or raise loss.retainWeight."
                )
        );
    }
}
