using System.Globalization;
using Falcon.Attacks.Protocol;
using Falcon.Evaluation;
using Falcon.Evaluation.Metrics;
using Falcon.Results;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Attacks.Activations;

/// <summary>Trains a linear decoder of the hidden states on the development facts, and reads the scored facts with it.</summary>
internal sealed class LinearProbes : Attack
{
    private const int Rank = 16;

    public override string Name => "linear-probes";

    public override AttackTier Tier => AttackTier.Activations;

    public override string Definition =>
        "A linear decoder of each layer's states before the original's norm and head, trained on the development answers and on retain "
            + "texts (tuned lens, Belrose et al. 2023, arXiv 2303.08112); the layer is chosen on a held-out part of the development "
            + "questions. Random: the same with random labels (control task of Hewitt and Liang 2019, arXiv 1909.03368).";

    public override AttackScores Run(AttackSubject subject, AttackData data, AttackSettings settings) =>
        Run(subject, data, settings, item => item.Gold);

    /// <summary>
    /// The same with a random choice counted as right. Accuracy beyond it is the selectivity of the probe.
    /// </summary>
    public override AttackScores RunRandom(AttackSubject subject, AttackData data, AttackSettings settings)
    {
        var random = new SeededRandom(settings.Seed, "random labels of the probe");
        Dictionary<AttackItem, int> golds = new(ReferenceEqualityComparer.Instance as IEqualityComparer<AttackItem>);
        foreach (var item in data.Development.Concat(data.Test)) golds[item] = random.Next(item.Choices.Count);
        return Run(subject, data, settings, item => golds[item]);
    }

    private static AttackScores Run(AttackSubject subject, AttackData data, AttackSettings settings, Func<AttackItem, int> goldOf)
    {
        using var scope = NewDisposeScope();
        var scoring = new AttackScoring(subject.Loaded, data, settings);
        var (steps, retained) = settings.Budget switch
        {
            AttackBudget.Quick => (40, 60),
            AttackBudget.Standard => (150, 300),
            _ => (400, 2000),
        };
        List<AttackItem> items = [.. data.Development, .. data.Test];
        List<ScoredSequence> choices =
        [
            .. items.SelectMany(item => scoring.Sequences(item, new ScoringPass { Form = AnswerForm.FullAnswer })),
        ];
        int[] firsts = [0, .. items.Select((_, i) => items.Take(i + 1).Sum(item => item.Choices.Count))];
        List<ScoredSequence> others =
        [
            .. QuestionMetrics
                .EvenlySpaced([.. data.RetainTexts.Where(text => text.IsQuestion)], retained)
                .Select(text => text.Tokens(scoring.Prompts)),
        ];
        using var states = PredictingStates.Read(subject.Loaded.Model, [.. choices, .. others], scoring.PadId, settings.Cancellation);
        var targets = tensor(states.Targets, int64, subject.Loaded.Model.Device);
        int[] development = [.. Enumerable.Range(0, data.Development.Count)],
            test = [.. Enumerable.Range(data.Development.Count, data.Test.Count)];
        int[] tuned = [.. development.Where(i => i % 4 != 0)],
            heldOut = [.. development.Where(i => i % 4 == 0)];

        double[] Judge(int layer, int[] train, int[] asked)
        {
            using var inner = NewDisposeScope();
            var known = Rows(
                states,
                train.Select(item => firsts[item] + goldOf(items[item])).Concat(Enumerable.Range(choices.Count, others.Count))
            );
            var unknown = Rows(states, asked.SelectMany(item => Enumerable.Range(firsts[item], items[item].Choices.Count)));
            using var translator = LinearTranslator.Fit(
                subject.Original.Model,
                states.After(layer).index_select(0, known),
                targets.index_select(0, known),
                Rank,
                steps,
                Seeds.Derive(settings.Seed, "linear probe", layer),
                settings.Cancellation
            );
            var read = translator.LogProbabilities(states.After(layer).index_select(0, unknown), targets.index_select(0, unknown));
            var next = 0;
            return
            [
                .. asked.Select(item =>
                    AttackScoring.IsFirst(
                        [
                            .. Enumerable
                                .Range(firsts[item], items[item].Choices.Count)
                                .Select(choice =>
                                    read[next..(next += states.Rows(choice).End.Value - states.Rows(choice).Start.Value)].Average()
                                ),
                        ],
                        goldOf(items[item])
                    )
                        ? 1.0
                        : 0.0
                ),
            ];
        }

        List<double> tried = [];
        for (var layer = 0; layer < states.LayerCount; layer++)
        {
            tried.Add(Judge(layer, tuned, heldOut).Average());
            settings.Log.Progress("linear probes", layer + 1, states.LayerCount);
        }

        var best = tried.LastIndexOf(tried.Max());
        return new AttackScores(Judge(best, development, test), string.Create(CultureInfo.InvariantCulture, $"layer {best}"))
        {
            Steps = steps * (states.LayerCount + 1),
            Samples = data.Development.Count + others.Count,
            Extras = tried
                .Select((accuracy, layer) => (layer, accuracy))
                .ToDictionary(
                    one => string.Create(CultureInfo.InvariantCulture, $"held-out development accuracy at layer {one.layer}"),
                    one => one.accuracy
                ),
        };
    }

    private static Tensor Rows(PredictingStates states, IEnumerable<int> texts)
    {
        long[] rows =
        [
            .. texts
                .SelectMany(text =>
                    Enumerable.Range(states.Rows(text).Start.Value, states.Rows(text).End.Value - states.Rows(text).Start.Value)
                )
                .Select(row => (long)row),
        ];
        return tensor(rows, int64, states.After(0).device);
    }
}
