using Falcon.Attacks.Protocol;
using Falcon.Evaluation;
using Falcon.Models;
using Falcon.Results;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Attacks.Activations;

/// <summary>
/// Reads the answer inside the model: four vectors of every block go through a final norm and output head, and their logits score the
/// choices. The place (layer and vector) is chosen on the development questions, because the best of many noisy accuracies is above chance
/// by itself. The decoder is that of the attacked model, or that of the original, which works where the attacked model's head is damaged.
/// </summary>
internal sealed class LogitLens(bool fixedDecoder) : Attack
{
    private const int Ticks = 100;

    public override string Name => fixedDecoder ? "fixed-decoder-lens" : "logit-lens";

    public override AttackTier Tier => AttackTier.Activations;

    public override string Definition =>
        fixedDecoder
            ? "Logit lens through the original model's final norm and output head; component and layer are chosen on the development "
                + "questions (fixed decoder as in UDS, arXiv 2605.24614)."
            : "Attention output, stream after attention, MLP output and block output of every layer through the model's own final norm "
                + "and output head; component and layer are chosen on the development questions (nostalgebraist 2020; Lucki et al. 2024, "
                + "arXiv 2409.18025).";

    public override AttackScores Run(AttackSubject subject, AttackData data, AttackSettings settings) =>
        Run(subject, data, settings, item => item.Gold);

    /// <summary>
    /// The same with a random choice counted as right: what choosing among many places finds in noise.
    /// </summary>
    public override AttackScores RunRandom(AttackSubject subject, AttackData data, AttackSettings settings)
    {
        var random = new SeededRandom(settings.Seed, "random labels of the lens");
        Dictionary<AttackItem, int> golds = new(ReferenceEqualityComparer.Instance as IEqualityComparer<AttackItem>);
        foreach (var item in data.Development.Concat(data.Test)) golds[item] = random.Next(item.Choices.Count);
        return Run(subject, data, settings, item => golds[item]);
    }

    private AttackScores Run(AttackSubject subject, AttackData data, AttackSettings settings, Func<AttackItem, int> goldOf)
    {
        var decoder = fixedDecoder ? subject.Original.Model : subject.Loaded.Model;
        List<AttackItem> items = [.. data.Development, .. data.Test];
        var scores = ChoiceScores(subject.Loaded, decoder, items, data, settings);
        double[] Right(double[][] ofChoices, IReadOnlyList<AttackItem> asked, int first) =>
            [.. asked.Select((item, i) => AttackScoring.IsFirst(ofChoices[first + i], goldOf(item)) ? 1.0 : 0.0)];
        // Of equals the place nearest to the output is taken.
        var places = scores.Keys.OrderByDescending(place => place.Layer).ThenByDescending(place => place.Component).ToList();
        var development = places.ToDictionary(place => place, place => Right(scores[place], data.Development, 0).Average());
        var best = places.MaxBy(place => development[place]);
        return new AttackScores(Right(scores[best], data.Test, data.Development.Count), $"{Words(best.Component)} of layer {best.Layer}")
        {
            Samples = data.Development.Count,
            Extras = new Dictionary<string, double>
            {
                ["development accuracy there"] = development[best],
                ["best test accuracy of all places, chosen with hindsight"] = places.Max(place =>
                    Right(scores[place], data.Test, data.Development.Count).Average()
                ),
            },
        };
    }

    /// <summary>For every place and every question, the mean log-probability of the tokens of each choice, read at that place.</summary>
    private static Dictionary<(int Layer, LayerComponent Component), double[][]> ChoiceScores(
        LoadedModel loaded,
        CausalLM decoder,
        IReadOnlyList<AttackItem> items,
        AttackData data,
        AttackSettings settings
    )
    {
        var scoring = new AttackScoring(loaded, data, settings);
        var means = Read(loaded.Model, decoder, [.. items.SelectMany(item => scoring.Sequences(item))], scoring.PadId, settings);
        return means.ToDictionary(place => place.Key, place =>
        {
            var next = 0;
            return items.Select(item => place.Value[next..(next += item.Choices.Count)]).ToArray();
        });
    }

    /// <summary>
    /// For every place, the mean log-probability of the scored tokens of each sequence under decoder.Head(vector at the place); float32
    /// log-softmax.
    /// </summary>
    internal static Dictionary<(int Layer, LayerComponent Component), double[]> Read(
        CausalLM model,
        CausalLM decoder,
        IReadOnlyList<ScoredSequence> sequences,
        int padId,
        AttackSettings settings
    )
    {
        var batches = TokenLikelihoods.Batches(sequences);
        List<(TokenBatch Tokens, int[] Rows)> inputs = [.. batches.Select(batch => TokenLikelihoods.Inputs(sequences, batch, padId))];
        Dictionary<(int, LayerComponent), double[]> means = [];
        void Add(int layer, LayerComponent component, int batch, Tensor vectors)
        {
            if (!means.TryGetValue((layer, component), out var values))
                means[(layer, component)] = values = new double[sequences.Count];
            var read = TokenLikelihoods.Score(
                decoder,
                [.. batches[batch].Select(i => sequences[i])],
                inputs[batch].Rows,
                vectors,
                distributions: false
            );
            for (var row = 0; row < read.Length; row++)
                values[batches[batch][row]] = read[row].LogProbabilities.Average();
        }

        new LayerwisePass(model)
        {
            Cancellation = settings.Cancellation,
            Step = (layer, batch, hidden, context) =>
            {
                using var scope = NewDisposeScope();
                var middle = model.AttentionBlock(layer, hidden, context);
                var after = model.Layer(layer, hidden, context); // attention once more, whatever the family adds to it
                Add(layer, LayerComponent.AttentionOutput, batch, middle - hidden);
                Add(layer, LayerComponent.AfterAttention, batch, middle);
                Add(layer, LayerComponent.MlpOutput, batch, after - middle);
                Add(layer, LayerComponent.BlockOutput, batch, after);
                return after.MoveToOuterDisposeScope();
            },
            Progress = share => settings.Log.Progress("logit lens", (int)(share * Ticks), inputs.Count * Ticks),
        }.Run([.. inputs.Select(input => input.Tokens)], model.Config.LayerCount - 1);
        return means;
    }

    private static string Words(LayerComponent component) => component switch
    {
        LayerComponent.AttentionOutput => "attention output",
        LayerComponent.AfterAttention => "stream after attention",
        LayerComponent.MlpOutput => "MLP output",
        _ => "block output",
    };
}
