using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;
using Falcon.Engine;
using Falcon.Methods.Terms;
using static TorchSharp.torch;

namespace Falcon.Methods.Baselines;

/// <summary>
/// <c>ceu</c>: weight * mean over answer tokens of CE(model, own softmax after the true token's logit was set to -infinity, without
/// gradient): the model is taught what it would say if it did not know the answer. Bounded below.
/// </summary>
public sealed record UnlikelyLabels : ForgetTerm
{
    /// <summary>Tokens of each answer that are left out, from its first.</summary>
    [Range(0, int.MaxValue)]
    public int Skip { get; init; } = 1;

    /// <summary>Weight of the loss.</summary>
    [Range(0, double.MaxValue)]
    public double Weight { get; init; } = 1;

    /// <inheritdoc/>
    [JsonIgnore]
    public override PassNeeds Needs => PassNeeds.Likelihoods | PassNeeds.WholeBatches;

    /// <summary>The loss, a float32 scalar; 0 where no answer is longer than <paramref name="skip"/>.</summary>
    /// <param name="logits">[B, T, V].</param>
    /// <param name="labels">
    /// [B, T] int64, <see cref="ReferenceLosses.IgnoredLabel"/> where not scored; position t is scored against the label of t + 1.
    /// </param>
    /// <param name="skip">Labels of each row that are left out, counted before the shift.</param>
    public static Tensor Of(Tensor logits, Tensor labels, int skip)
    {
        using var scope = NewDisposeScope();
        var isLabel = labels.ne(ReferenceLosses.IgnoredLabel);
        var scored = isLabel.logical_and(isLabel.to(int64).cumsum(1).gt(skip))[.., 1..]; // [B, T-1]
        var rows = TokenRows.Select(logits[.., ..^1], scored); // [M, V]
        if (rows.shape[0] == 0) return (logits.sum() * 0).to(float32).MoveToOuterDisposeScope();
        var truth = labels[.., 1..].masked_select(scored).unsqueeze(1); // [M, 1]
        var goal = rows.detach().scatter(1, truth, full_like(truth, double.NegativeInfinity, dtype: float32)).softmax(1);
        return (goal * rows.log_softmax(1)).sum(1).mean().neg().MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override ForgetLoss Build(TermInputs inputs) => new CeULoss(this);

    private sealed class CeULoss(UnlikelyLabels settings) : ForgetLoss
    {
        public override Tensor Loss(StepPass pass) => Of(pass.AnswerLogits, pass.Labels(), settings.Skip) * settings.Weight;
    }
}

/// <summary>Cross-entropy unlearning.</summary>
internal static class CeU
{
    public static UnlearningMethod Method { get; } =
        UnlearningMethod.Of(
            "ce-u",
            "Cross-entropy unlearning: L = mean over answer tokens, but each answer's first, of CE(model, own softmax with the true "
                + "token's logit at -infinity, without gradient). No retain loss.",
            "Yang, CE-U: Cross Entropy Unlearning (2025); settings as in OpenUnlearning",
            PublishedSettings.WholeModel(new ObjectiveSettings { Forget = [new UnlikelyLabels()] }),
            PublishedSettings.Rates()
        );
}
