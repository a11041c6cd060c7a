using Falcon.Engine;
using static TorchSharp.torch;

namespace Falcon.Methods.Terms;

/// <summary>
/// The losses of the baseline methods on next-token likelihoods, in float32. NLL is the summed cross-entropy of a sequence, CE its mean; a
/// frozen model enters only as one NLL a sequence, so it need not stay in memory. Source of each: the paper named there; numbers as in
/// OpenUnlearning.
/// </summary>
public static class ReferenceLosses
{
    /// <summary>The label of a position that is not scored.</summary>
    public const long IgnoredLabel = -100;

    /// <summary>NLL of every sequence: sum over scored targets of -log p(label[t+1] | logits[t]).</summary>
    /// <param name="logits">[B, T, V], any floating type.</param>
    /// <param name="labels">[B, T] int64, <see cref="IgnoredLabel"/> where not scored; the first position is never a target.</param>
    /// <returns>[B] float32.</returns>
    public static Tensor SequenceNll(Tensor logits, Tensor labels)
    {
        using var scope = NewDisposeScope();
        return TokenNll(logits, labels).sum(1).MoveToOuterDisposeScope();
    }

    /// <summary>-log p(label[t+1] | logits[t]) of every target, [B, T - 1] float32; 0 where not scored.</summary>
    /// <param name="logits">[B, T, V].</param>
    /// <param name="labels">[B, T] int64.</param>
    public static Tensor TokenNll(Tensor logits, Tensor labels)
    {
        using var scope = NewDisposeScope();
        var scores = logits[.., ..^1].to(float32).transpose(1, 2); // [B, V, T-1]
        return nn
            .functional.cross_entropy(scores, labels[.., 1..], ignore_index: IgnoredLabel, reduction: nn.Reduction.None)
            .MoveToOuterDisposeScope();
    }

    /// <summary>Number of scored targets of every sequence, [B] float32.</summary>
    /// <param name="labels">[B, T] int64.</param>
    public static Tensor TargetCounts(Tensor labels)
    {
        using var scope = NewDisposeScope();
        return labels[.., 1..].ne(IgnoredLabel).sum(1).to(float32).MoveToOuterDisposeScope();
    }

    /// <summary>CE over the batch: all NLL together, divided by the number of scored targets.</summary>
    /// <param name="logits">[B, T, V].</param>
    /// <param name="labels">[B, T] int64.</param>
    public static Tensor MeanNll(Tensor logits, Tensor labels)
    {
        using var scope = NewDisposeScope();
        return (SequenceNll(logits, labels).sum() / TargetCounts(labels).sum()).MoveToOuterDisposeScope();
    }

    /// <summary>Gradient ascent: -CE of the forget batch. Unbounded below.</summary>
    /// <param name="logits">[B, T, V] of the forget batch.</param>
    /// <param name="labels">[B, T] int64.</param>
    public static Tensor GradAscent(Tensor logits, Tensor labels)
    {
        using var scope = NewDisposeScope();
        return MeanNll(logits, labels).neg().MoveToOuterDisposeScope();
    }

    /// <summary>
    /// forgetWeight * forget + retainWeight * retain: gradient difference with <see cref="GradAscent"/> as the forget loss, and the total
    /// of every other method.
    /// </summary>
    /// <param name="forget">Scalar forget loss.</param>
    /// <param name="retain">Scalar retain loss, such as <see cref="MeanNll"/> or <see cref="KullbackLeibler"/>.</param>
    /// <param name="forgetWeight">"gamma" in the literature.</param>
    /// <param name="retainWeight">"alpha" in the literature.</param>
    public static Tensor Total(Tensor forget, Tensor retain, double forgetWeight = 1, double retainWeight = 1)
    {
        using var scope = NewDisposeScope();
        return (forget * forgetWeight + retain * retainWeight).MoveToOuterDisposeScope();
    }

    /// <summary>Gradient difference: -gamma CE_f + alpha * retain loss.</summary>
    /// <param name="logits">[B, T, V] of the forget batch.</param>
    /// <param name="labels">[B, T] int64.</param>
    /// <param name="retain">Scalar retain loss.</param>
    /// <param name="forgetWeight">gamma.</param>
    /// <param name="retainWeight">alpha.</param>
    public static Tensor GradDiff(Tensor logits, Tensor labels, Tensor retain, double forgetWeight = 1, double retainWeight = 1)
    {
        using var scope = NewDisposeScope();
        return Total(GradAscent(logits, labels), retain, forgetWeight, retainWeight).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// Negative preference optimisation: -(2/beta) mean log sigmoid( beta (NLL_f - NLL_f,ref) ). Source: Zhang et al., 2024.
    /// </summary>
    /// <param name="nll">NLL of the forget sequences [B].</param>
    /// <param name="referenceNll">The same of the frozen model [B].</param>
    /// <param name="beta">Sharpness, above 0; the limit 0 is gradient ascent.</param>
    public static Tensor Npo(Tensor nll, Tensor referenceNll, double beta)
    {
        using var scope = NewDisposeScope();
        return Preference(nll - referenceNll, beta).MoveToOuterDisposeScope();
    }

    /// <summary>Reference-free NPO: -(2/beta) mean log sigmoid( beta (NLL_f / count - delta) ). Source: Fan et al., 2024.</summary>
    /// <param name="nll">NLL of the forget sequences [B].</param>
    /// <param name="counts">
    /// Targets of each sequence [B], see <see cref="TargetCounts"/>. (The published code counts labels before the shift, so a label at the
    /// first position counts there.)
    /// </param>
    /// <param name="beta">Sharpness, above 0.</param>
    /// <param name="delta">Margin in nats a token.</param>
    public static Tensor SimNpo(Tensor nll, Tensor counts, double beta, double delta = 0)
    {
        using var scope = NewDisposeScope();
        return Preference(nll / counts - delta, beta).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// Direct preference optimisation: -(2/beta) mean log sigmoid( beta ((NLL_lose - NLL_lose,ref) - (NLL_win - NLL_win,ref)) ); win is a
    /// refusal, lose the answer to forget. Source: Rafailov et al., 2023; the factor 2/beta as in unlearning codes.
    /// </summary>
    /// <param name="winNll">NLL of the preferred sequences [B].</param>
    /// <param name="winReferenceNll">The same of the frozen model [B].</param>
    /// <param name="loseNll">NLL of the sequences to forget [B].</param>
    /// <param name="loseReferenceNll">The same of the frozen model [B].</param>
    /// <param name="beta">Sharpness, above 0.</param>
    public static Tensor Dpo(Tensor winNll, Tensor winReferenceNll, Tensor loseNll, Tensor loseReferenceNll, double beta)
    {
        using var scope = NewDisposeScope();
        return Preference(loseNll - loseReferenceNll - (winNll - winReferenceNll), beta).MoveToOuterDisposeScope();
    }

    /// <summary>KL(reference || model): sum over the vocabulary of p_ref (log p_ref - log p), mean over positions.</summary>
    /// <param name="logits">[B, T, V] of the model in training.</param>
    /// <param name="referenceLogits">[B, T, V] of the frozen model.</param>
    /// <param name="mask">
    /// True at positions that count, [B, T]; null counts every position, padding included, as the published code does.
    /// </param>
    public static Tensor KullbackLeibler(Tensor logits, Tensor referenceLogits, Tensor? mask = null)
    {
        using var scope = NewDisposeScope();
        var model = nn.functional.log_softmax(TokenRows.Select(logits, mask), dim: -1);
        var reference = nn.functional.log_softmax(TokenRows.Select(referenceLogits, mask), dim: -1);
        return (reference.exp() * (reference - model)).sum(-1).mean().MoveToOuterDisposeScope();
    }

    private static Tensor Preference(Tensor margin, double beta) => nn.functional.logsigmoid(margin * beta).mean() * (-2 / beta);
}
