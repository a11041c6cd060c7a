using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;
using Falcon.Engine;
using Falcon.Methods.Preference;
using Falcon.Methods.Terms;
using static TorchSharp.torch;

namespace Falcon.Methods.Baselines;

/// <summary>
/// <c>refusalDivergence</c>: weight * mean over answer tokens of the Jensen-Shannon divergence of the model's distribution and a refusal,
/// whose tokens are repeated in order over each answer. At most ln 2, so no step is large.
/// </summary>
public sealed record RefusalDivergence : ForgetTerm
{
    /// <summary>The refusal.</summary>
    [MinLength(1)]
    public string Refusal { get; init; } = "No idea";

    /// <summary>Weight of the loss.</summary>
    [Range(0, double.MaxValue)]
    public double Weight { get; init; } = 1;

    /// <inheritdoc/>
    [JsonIgnore]
    public override PassNeeds Needs => PassNeeds.Likelihoods | PassNeeds.WholeBatches;

    /// <summary>
    /// Mean over scored positions of JS(softmax, onehot(r)) in nats, a float32 scalar. With q the probability of r it is
    /// ln 2 + (q ln q - (1 + q) ln(1 + q)) / 2, so no distribution is formed.
    /// </summary>
    /// <param name="logits">[B, T, V].</param>
    /// <param name="labels">
    /// [B, T] int64, <see cref="ReferenceLosses.IgnoredLabel"/> where not scored; position t is scored at the label of t + 1.
    /// </param>
    /// <param name="refusal">Token ids of the refusal, repeated in order over the scored positions of each row.</param>
    public static Tensor Of(Tensor logits, Tensor labels, IReadOnlyList<int> refusal)
    {
        using var scope = NewDisposeScope();
        var scored = labels[.., 1..].ne(ReferenceLosses.IgnoredLabel); // [B, T-1]
        var turn = (scored.to(int64).cumsum(1) - 1).clamp_min(0).remainder(refusal.Count);
        var tokens = tensor(refusal.Select(id => (long)id).ToArray(), device: logits.device);
        var wanted = tokens.index_select(0, turn.masked_select(scored)); // [M]
        var log = TokenRows.Select(logits[.., ..^1], scored).log_softmax(1).gather(1, wanted.unsqueeze(1)).squeeze(1);
        var q = log.exp();
        return (Math.Log(2) + (q * log - (1 + q) * q.log1p()).mean() / 2).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override ForgetLoss Build(TermInputs inputs) => new DivergenceLoss(Weight, RefusalTexts.Answer(Refusal, inputs));

    private sealed class DivergenceLoss(double weight, IReadOnlyList<int> refusal) : ForgetLoss
    {
        public override Tensor Loss(StepPass pass) => Of(pass.AnswerLogits, pass.Labels(), refusal) * weight;
    }
}

/// <summary>
/// <c>answerDivergence</c>: mean over the retain answers' tokens of the Jensen-Shannon divergence of the model's and the unchanged model's
/// distributions; at most ln 2.
/// </summary>
public sealed record AnswerDivergence : RetainTerm
{
    /// <inheritdoc/>
    [JsonIgnore]
    public override PassNeeds Needs => PassNeeds.Likelihoods | PassNeeds.WholeBatches;

    /// <summary>Mean over scored positions of JS(p, r) in nats, a float32 scalar.</summary>
    /// <param name="logits">Of the model in training [B, T, V].</param>
    /// <param name="referenceLogits">Of the unchanged model [B, T, V].</param>
    /// <param name="labels">
    /// [B, T] int64, <see cref="ReferenceLosses.IgnoredLabel"/> where not scored; position t is scored at the label of t + 1.
    /// </param>
    public static Tensor Of(Tensor logits, Tensor referenceLogits, Tensor labels)
    {
        using var scope = NewDisposeScope();
        var scored = labels[.., 1..].ne(ReferenceLosses.IgnoredLabel);
        var p = TokenRows.Select(logits[.., ..^1], scored).log_softmax(1); // [M, V]
        var r = TokenRows.Select(referenceLogits[.., ..^1], scored).log_softmax(1);
        var middle = logaddexp(p, r) - Math.Log(2);
        return ((p.exp() * (p - middle) + r.exp() * (r - middle)).sum(1).mean() / 2).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override RetainLoss Build(TermInputs inputs) => new DivergenceLoss();

    private sealed class DivergenceLoss : RetainLoss
    {
        public override Tensor Loss(StepPass pass) => Of(pass.AnswerLogits, pass.FrozenAnswerLogits, pass.Labels());
    }
}

/// <summary>Unlearning by Jensen-Shannon divergences.</summary>
internal static class JensUn
{
    public static UnlearningMethod Method { get; } =
        UnlearningMethod.Of(
            "jensun",
            "Jensen-Shannon unlearning: L = JS(model, refusal) on the forget answers + alpha JS(model, frozen) on the retain answers; both "
                + "are at most ln 2.",
            "Unlearning That Lasts: Utility-Preserving, Robust, and Almost Irreversible Forgetting in LLMs (arXiv 2509.02820)",
            PublishedSettings.WholeModel(new ObjectiveSettings { Forget = [new RefusalDivergence()], Retain = [new AnswerDivergence()] }),
            PublishedSettings.RatesAndStrength("alpha", "objective.retain.answerDivergence.weight", 1, 5)
        );
}
