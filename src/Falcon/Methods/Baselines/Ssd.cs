using System.ComponentModel.DataAnnotations;
using Falcon.Methods.Gradients;
using Falcon.Methods.Terms;
using static TorchSharp.torch;

namespace Falcon.Methods.Baselines;

/// <summary>
/// <c>dampening</c>: with I the mean over texts of the squared gradient of CE (the diagonal of the Fisher matrix), theta_i becomes
/// theta_i min(1, strength I_r / I_f) wherever I_f > threshold I_r.
/// </summary>
public sealed record Dampening : WeightEdit
{
    /// <summary>How many times the retain importance a weight's forget importance must exceed ("alpha").</summary>
    [Range(0, double.MaxValue)]
    public double Threshold { get; init; } = 10;

    /// <summary>Strength of the dampening ("lambda"): the larger, the weaker.</summary>
    [Range(0, double.MaxValue)]
    public double Strength { get; init; } = 1;

    /// <inheritdoc/>
    public override void Apply(TermInputs inputs)
    {
        using var scope = NewDisposeScope();
        var retainSets = inputs.Topics.Select(topic => (Texts: topic.Retain, Answers: topic.RetainAnswers)).DistinctBy(set => set.Texts);
        var forget = Importance(
            inputs,
            [.. inputs.Topics.SelectMany(topic => topic.Forget.Zip(topic.ForgetAnswers))],
            "forget importance"
        );
        var retain = Importance(inputs, [.. retainSets.SelectMany(set => set.Texts.Zip(set.Answers))], "retain importance");
        using var noGrad = no_grad();
        for (var i = 0; i < forget.Count; i++)
        {
            using var parameterScope = NewDisposeScope();
            inputs.Trained.Load(i, Dampen(inputs.Trained.Masters[i].Whole(), forget[i], retain[i], Threshold, Strength));
        }
    }

    /// <summary>
    /// The weights; those whose forget importance exceeds threshold * retain importance are multiplied by min(1, strength * retain /
    /// forget).
    /// </summary>
    internal static Tensor Dampen(Tensor weight, Tensor forget, Tensor retain, double threshold, double strength)
    {
        using var scope = NewDisposeScope();
        var factor = (retain * strength / forget.clamp_min(1e-38)).clamp_max(1);
        return (weight * where(forget > retain * threshold, factor, ones_like(factor))).MoveToOuterDisposeScope();
    }

    private static List<Tensor> Importance(TermInputs inputs, IReadOnlyList<(int[] Text, int AnswerFrom)> texts, string stage)
    {
        using var scope = NewDisposeScope();
        texts = [.. texts.Where(text => text.AnswerFrom < text.Text.Length - 1)]; // a text cut before its answer has no loss
        var sums = inputs.Trained.Leaves.Select(leaf => zeros_like(leaf, float32, requires_grad: false)).ToList();
        for (var n = 0; n < texts.Count; n++)
        {
            inputs.Cancellation.ThrowIfCancellationRequested();
            using var textScope = NewDisposeScope();
            var batch = new AnswerBatch([texts[n].Text], [texts[n].AnswerFrom], inputs.PadId);
            var loss = batch.MeanNll(inputs.Trained.Updated(inputs.Frozen));
            var gradients = autograd.grad([loss], [.. inputs.Trained.Leaves]);
            for (var i = 0; i < sums.Count; i++) sums[i].add_(gradients[i].to(float32).square(), alpha: 1.0 / texts.Count);
            inputs.Log.Progress(stage, n + 1, texts.Count);
        }

        return [.. sums.Select(sum => sum.MoveToOuterDisposeScope())];
    }
}

/// <summary>Selective synaptic dampening.</summary>
internal static class Ssd
{
    public static UnlearningMethod Method { get; } =
        UnlearningMethod.Of(
            "ssd",
            "Selective synaptic dampening, without training: theta_i becomes theta_i min(1, lambda I_r / I_f) wherever I_f > alpha I_r, I "
                + "being the mean over texts of the squared gradient of CE.",
            "Foster et al., Fast Machine Unlearning without Retraining (AAAI 2024); there I_r is of the whole training set, for which the "
                + "retain set stands here",
            PublishedSettings.WholeModel(new ObjectiveSettings { Edits = [new Dampening()] }) with { Steps = 0 },
            [.. new double[] { 10, 3, 50, 1.5, 5, 20, 2, 100 }.Select(OfThreshold)]
        );

    private static Trial OfThreshold(double threshold)
    {
        var number = PublishedSettings.Number(threshold);
        return new Trial($"alpha {number}", $"objective.edits.dampening.threshold={number}");
    }
}
