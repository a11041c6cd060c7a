using Falcon.Methods.Falcon;
using Falcon.Methods.Terms;
using static TorchSharp.torch;

namespace Falcon.Methods.Baselines;

/// <summary>
/// Selective synaptic dampening, without training: with I the mean over texts of the squared gradient of CE (the diagonal of the Fisher
/// matrix), theta_i becomes theta_i min(1, lambda I_r / I_f) wherever I_f > alpha I_r. Source: Foster et al., Fast Machine Unlearning
/// without Retraining (AAAI 2024); there I_r is of the whole training set, for which the retain set stands here.
/// </summary>
/// <param name="inputs">What the method is built from.</param>
public sealed class Ssd(MethodInputs inputs) : Objective
{
    /// <summary>Not used: the method has no steps.</summary>
    /// <exception cref="NotSupportedException">Always.</exception>
    public override ObjectiveGradients Gradients(StepBatch batch) => throw new NotSupportedException("SSD has no steps.");

    /// <inheritdoc/>
    public override void Finish()
    {
        using var scope = NewDisposeScope();
        var settings = inputs.Config.HyperParameters;
        var retainSets = inputs.Topics.Select(topic => (Texts: topic.Retain, Answers: topic.RetainAnswers)).DistinctBy(set => set.Texts);
        var forget = Importance([.. inputs.Topics.SelectMany(topic => topic.Forget.Zip(topic.ForgetAnswers))], "forget importance");
        var retain = Importance([.. retainSets.SelectMany(set => set.Texts.Zip(set.Answers))], "retain importance");
        using var noGrad = no_grad();
        for (var i = 0; i < forget.Count; i++)
        {
            using var parameterScope = NewDisposeScope();
            inputs.Trained.Load(
                i,
                Dampen(inputs.Trained.Masters[i].Whole(), forget[i], retain[i], (double)settings.Alpha!, (double)settings.Lambda!)
            );
        }
    }

    /// <summary>
    /// The weights, each with forget importance above alpha times its retain importance multiplied by min(1, lambda retain / forget).
    /// </summary>
    internal static Tensor Dampen(Tensor weight, Tensor forget, Tensor retain, double alpha, double lambda)
    {
        using var scope = NewDisposeScope();
        var factor = (retain * lambda / forget.clamp_min(1e-38)).clamp_max(1);
        return (weight * where(forget > retain * alpha, factor, ones_like(factor))).MoveToOuterDisposeScope();
    }

    private List<Tensor> Importance(IReadOnlyList<(int[] Text, int AnswerFrom)> texts, string stage)
    {
        using var scope = NewDisposeScope();
        texts = [.. texts.Where(text => text.AnswerFrom < text.Text.Length - 1)]; // a text cut before its answer has no loss
        var sums = inputs.Trained.Leaves.Select(leaf => zeros_like(leaf, float32, requires_grad: false)).ToList();
        for (var n = 0; n < texts.Count; n++)
        {
            inputs.Cancellation.ThrowIfCancellationRequested();
            using var textScope = NewDisposeScope();
            var loss = new AnswerBatch([texts[n].Text], [texts[n].AnswerFrom], inputs.PadId).MeanNll(inputs.Trained.Updated(inputs.Frozen));
            var (_, gradients) = Differentiate(loss, inputs.Trained);
            for (var i = 0; i < sums.Count; i++) sums[i].add_(gradients[i].to(float32).square(), alpha: 1.0 / texts.Count);
            inputs.Log.Progress(stage, n + 1, texts.Count);
        }

        return [.. sums.Select(sum => sum.MoveToOuterDisposeScope())];
    }
}
