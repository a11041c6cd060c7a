using System.Diagnostics;
using Falcon.Engine;
using Falcon.Methods.Gradients;
using Falcon.Methods.Terms;
using Falcon.Optimization;
using Falcon.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Falcon.Methods;

/// <summary>What a trainer needs to know of a run.</summary>
/// <param name="Steps">Steps of the run.</param>
/// <param name="Seed">Seed of everything random.</param>
/// <param name="PadId">Padding id.</param>
/// <param name="Rates">The learning rate of each step.</param>
public sealed record TrainerSettings(int Steps, ulong Seed, int PadId, LearningRateSchedule Rates)
{
    /// <summary>How the two gradients of a parameter become one; null adds them up.</summary>
    public GradientFilter? Filter { get; init; }

    /// <summary>Share of noise in the parameters at the start of the run, which must be repaired by its end.</summary>
    public double StartNoise { get; init; }
}

/// <summary>
/// The one training loop: batch, two gradients, their combination, update; every tensor of a step lives in the step's scope and only
/// numbers leave it.
/// </summary>
/// <param name="topics">Forget domains with their retain sets.</param>
/// <param name="batches">The texts of every step.</param>
/// <param name="objective">What is minimised.</param>
/// <param name="trained">The parameters.</param>
/// <param name="optimizer">The update.</param>
/// <param name="settings">Steps, seed, learning rates, filter.</param>
public sealed class Trainer(
    IReadOnlyList<TopicTexts> topics,
    StepBatches batches,
    Objective objective,
    TrainedParameters trained,
    Optimizer optimizer,
    TrainerSettings settings
)
{
    private readonly DriftWatch _drift = new(settings);

    /// <summary>One step.</summary>
    /// <param name="step">The step, from 0; decides batch, topic and random numbers together with the seed.</param>
    /// <exception cref="NumericalFailureException">
    /// A loss, gradient or update is not finite, or the retain loss drifts away; the message has step and magnitudes.
    /// </exception>
    public StepMetrics Step(int step)
    {
        using var scope = NewDisposeScope();
        var clock = Stopwatch.StartNew();
        var (scheduled, forget, retain) = batches.At(step);
        using var generator = new Generator(new SeededRandom(settings.Seed, $"step {step}").NextUInt64(), torch.CPU);
        var batch = new StepBatch(scheduled, topics[scheduled.Topic], forget, retain, settings.PadId, generator);
        if (optimizer is Sophia { NeedsCurvature: true } sophia) UpdateCurvature(sophia, batch);

        var gradients = objective.Gradients(batch);
        if (!double.IsFinite(gradients.ForgetLoss) || !double.IsFinite(gradients.RetainLoss))
        {
            var what = FormattableString.Invariant($"a loss is not finite (forget {gradients.ForgetLoss}, retain {gradients.RetainLoss})");
            throw step == 0
                ? new NumericalFailureException($"Step 0: {what} before anything was changed: a term of the objective gives no number.")
                : Diverged(step, what);
        }

        var mixes = Mix(gradients, step);
        optimizer.LearningRate = settings.Rates.At(step);
        var updateNorm = Math.Sqrt(Update(gradients, mixes));
        if (!double.IsFinite(updateNorm)) throw Diverged(step, "the update is not finite");
        if (gradients.Drift is { } drift) _drift.Watch(step, drift);
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
        )
        {
            Measures = gradients.Measures,
        };
    }

    // All gradients are checked before the first parameter changes, so a step is applied as a whole or not at all.
    private List<GradientMix> Mix(ObjectiveGradients gradients, int step)
    {
        List<GradientMix> mixes = [];
        for (var i = 0; i < trained.Names.Count; i++)
        {
            try
            {
                var (forget, retain) = (gradients.Forget[i], gradients.Retain[i]);
                mixes.Add(settings.Filter?.Mix(forget, retain) ?? GradientCombination.Mix(forget, retain) with { Forget = 1, Retain = 1 });
            }
            catch (NumericalFailureException e)
            {
                throw Diverged(step, $"{trained.Names[i]}: {e.Message.TrimEnd('.')}", e);
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
            Tensor Combined(long start, long count) =>
                GradientCombination.WeightedSum(forget.narrow(0, start, count), retain.narrow(0, start, count), mix.Forget, mix.Retain);
            change += optimizer.UpdateParameter(i, Combined, (start, values) => trained.Refresh(index, start, values));
        }

        return change;
    }

    private void UpdateCurvature(Sophia sophia, StepBatch batch)
    {
        // Labels are sampled where the logits are.
        using var labels = new Generator(
            new SeededRandom(settings.Seed, "curvature labels", sophia.StepCount).NextUInt64(),
            trained.Leaves[0].device
        );
        sophia.UpdateCurvature(CurvatureEstimate.GaussNewtonBartlett(() => objective.CurvatureLogits(batch), trained.Leaves, labels));
    }

    private NumericalFailureException Diverged(int step, string what, Exception? inner = null) =>
        new(FormattableString.Invariant($"Step {step}: {what}. Lower optimizer.learningRate ({settings.Rates.PeakRate})."), inner);
}
