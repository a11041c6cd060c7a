using Falcon.Attacks.Protocol;
using Falcon.Data;
using Falcon.Evaluation;
using Falcon.Models;
using Falcon.Results;
using Falcon.Runtime;
using Falcon.Tokenization;
using static TorchSharp.torch;

namespace Falcon.Attacks.Activations;

/// <summary>
/// Unlearning depth score: how much of what each layer of the original encodes about an answer is missing from the attacked model. Stage 1:
/// after layer l, hidden states of a model that never learned replace those of the original at the positions that predict the answer; the
/// mean log-probability of the answer drops by S1(l). Stage 2: the same with the states of the attacked model, S2(l). UDS is the sum of S1
/// clip(S2 / S1, 0, 1) over the sum of S1, over the layers with S1 above 0.05. The score here is 1 - UDS: 1 means that all is still there,
/// 0 that the model is as if it had never learned.
/// </summary>
internal sealed class UnlearningDepth : Attack
{
    private const double SmallestDrop = 0.05;

    public override string Name => "activation-patching";

    public override AttackTier Tier => AttackTier.Activations;

    public override string Definition =>
        "1 - UDS: share of what the original's layers encode about the answer (found by patching in the never-taught control; without "
            + "one, the states of another question with the same answer) that is still in the attacked model's states (arXiv 2605.24614).";

    public override string BaselineName => "activation-patching";

    public override AttackScores Run(AttackSubject subject, AttackData data, AttackSettings settings)
    {
        List<double> scores = [];
        foreach (var (sequences, first, layers) in Encoded(subject, data, settings))
        {
            var second = Drops(subject.Original.Model, sequences, subject.Loaded.Model, sequences, subject.Original.Tokenizer.PadId ?? 0);
            for (var row = 0; row < sequences.Count; row++)
                if (layers[row].Count > 0)
                    scores.Add(
                        1
                            - layers[row].Sum(layer => Math.Clamp(second[layer][row], 0, first[layer][row]))
                                / layers[row].Sum(layer => first[layer][row])
                    );
            settings.Log.Progress("activation patching", scores.Count, data.Test.Count);
        }

        if (scores.Count == 0)
            throw new UserInputException(
                "activation-patching: no layer of the original holds anything about the scored answers that the never-taught model lacks; "
                    + "check that the original was taught them."
            );
        return new AttackScores(
            scores,
            subject.Control is null ? "stand-in: another question's states, as there is no control" : "states of the never-taught control"
        )
        {
            Extras = new Dictionary<string, double> { ["items that a layer encodes"] = scores.Count, ["UDS"] = 1 - scores.Average() },
        };
    }

    /// <summary>Zero for every question: the score of a model that lacks all that the control lacks.</summary>
    public override AttackScores Baseline(AttackSubject subject, AttackData data, AttackSettings settings) =>
        new(
            [.. Encoded(subject, data, settings).SelectMany(batch => batch.Layers).Where(layers => layers.Count > 0).Select(_ => 0.0)],
            "by definition"
        );

    /// <summary>
    /// Stage 1, batch by batch: the right answers, their drops by layer and row, and for each row the layers that encode its answer.
    /// </summary>
    private static IEnumerable<(IReadOnlyList<ScoredSequence> Sequences, double[][] Drops, IReadOnlyList<List<int>> Layers)> Encoded(
        AttackSubject subject,
        AttackData data,
        AttackSettings settings
    )
    {
        var original = subject.Original;
        var scoring = new AttackScoring(original, data, settings);
        List<ScoredSequence> right =
        [
            .. data.Test.Select(item => scoring.Sequences(item, new ScoringPass { Form = AnswerForm.FullAnswer })[item.Gold]),
        ];
        foreach (var batch in TokenLikelihoods.Batches(right))
        {
            settings.Cancellation.ThrowIfCancellationRequested();
            List<ScoredSequence> sequences = [.. batch.Select(i => right[i])];
            var first = subject.Control is { } control
                ? Drops(original.Model, sequences, control.Model, sequences, scoring.PadId)
                : Drops(original.Model, sequences, original.Model, [.. batch.Select(i => OtherQuestion(original, data, i))], scoring.PadId);
            yield return (
                sequences,
                first,
                [
                    .. Enumerable
                        .Range(0, batch.Length)
                        .Select(row => Enumerable.Range(0, first.Length).Where(layer => first[layer][row] > SmallestDrop).ToList()),
                ]
            );
        }
    }

    /// <summary>
    /// For every layer and sequence, by how much the mean log-probability of the answer falls when states of the source replace those of
    /// the model after that layer.
    /// </summary>
    internal static double[][] Drops(
        CausalLM model,
        IReadOnlyList<ScoredSequence> sequences,
        CausalLM source,
        IReadOnlyList<ScoredSequence> sourceSequences,
        int padId
    )
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        var count = model.Config.LayerCount;
        var own = States(model, sequences, padId);
        var foreign = States(source, sourceSequences, padId);
        var rows = Enumerable.Range(0, sequences.Count).ToArray();
        double[] Means(Tensor hidden) =>
            [
                .. TokenLikelihoods
                    .Score(model, sequences, rows, hidden, distributions: false)
                    .Select(score => score.LogProbabilities.Average()),
            ];
        var intact = Means(own[^1]);
        using var context = model.Causal(own[0].shape[1]);
        return [.. Enumerable.Range(0, count).Select(layer =>
        {
            using var inner = NewDisposeScope();
            var patched = own[layer].clone();
            for (var row = 0; row < sequences.Count; row++)
            {
                var (at, from) = (sequences[row], sourceSequences[row]);
                patched[row].narrow(0, at.Start - 1, at.ScoredCount).copy_(foreign[layer][row].narrow(0, from.Start - 1, at.ScoredCount));
            }

            var changed = Means(model.Layers(patched, layer + 1, count - 1, context));
            return intact.Zip(changed, (before, after) => before - after).ToArray();
        })];
    }

    // The residual stream [B, T, H] after every layer.
    private static Tensor[] States(CausalLM model, IReadOnlyList<ScoredSequence> sequences, int padId)
    {
        using var scope = NewDisposeScope();
        var batch = new TokenBatch([.. sequences.Select(sequence => sequence.Tokens[..^1])], padId);
        using var context = batch.Context(model);
        var states = new Tensor[model.Config.LayerCount];
        var hidden = model.Embed(batch.InputIds(model.Device));
        for (var layer = 0; layer < states.Length; layer++) states[layer] = hidden = model.Layer(layer, hidden, context);
        foreach (var state in states) state.MoveToOuterDisposeScope();
        return states;
    }

    // The answer after the question of the next item, so that nothing of the right question is in the states.
    private static ScoredSequence OtherQuestion(LoadedModel original, AttackData data, int item)
    {
        var other = data.Test[(item + 1) % data.Test.Count];
        var prompts = new PromptEncoder(original.Tokenizer, data.PromptForm);
        return ScoredSequence.Of(prompts.Encode(new AskedQuestion(other.Question), data.Test[item].Answer));
    }
}
