using System.Globalization;
using System.Text.Json;
using Falcon.Checkpoints;
using Falcon.Engine;
using Falcon.Evaluation;
using Falcon.Evaluation.Metrics;
using Falcon.Methods.Falcon;
using Falcon.Models;
using Falcon.Optimization;
using Falcon.Research.League;
using Falcon.Runs;
using Falcon.Runs.Configuration;
using Falcon.Runtime;
using Falcon.Tokenization;
using static TorchSharp.torch;

namespace Falcon.Research.Layers;

/// <summary>
/// Mutual information of every layer beside a measured trade-off: a few steps of FALCON at that layer alone, followed as far as costs every
/// layer the same on the retain set.
/// </summary>
public static class LayerBenchmark
{
    private const double FarthestShare = 16;
    private const int Halvings = 6;
    private const int Draws = 2000;

    /// <summary>Measures every layer and writes <c>layers.json</c> and <c>layers.md</c>.</summary>
    /// <param name="settings">What is compared.</param>
    /// <param name="context">Log, device, clock, cancellation.</param>
    /// <exception cref="UserInputException">Settings or files are wrong.</exception>
    /// <exception cref="NumericalFailureException">A layer's information cannot be estimated, or a trial diverged.</exception>
    public static LayerBenchmarkResult Execute(LayerBenchmarkSettings settings, RunContext context)
    {
        if (settings.Seeds < 1 || settings.Steps < 1 || settings.Trained < 1 || settings.Texts < 1)
            throw new UserInputException("--seeds, --steps and --trained must be at least 1.");
        if (settings.Damage <= 0)
            throw new UserInputException("--damage must be above 0 nats.");
        using var checkpoint = Checkpoint.Open(settings.Model);
        var compute = ComputeOptions.Choose(context.Device, context.DType, checkpoint.Stored);
        using var weights = checkpoint.LoadWeights(compute.DType, compute.Device);
        var start = new CausalLM(checkpoint.Config, weights);
        var tokenizer = HfTokenizer.Load(settings.Model);
        var topics = TopicTexts.Read(settings.Data, new PromptEncoder(tokenizer, settings.Data.PromptForm.OnDay(context.Today)));
        var layers = checkpoint.Config.LayerCount;
        var (information, effect, share) = (Grid(layers), Grid(layers), Grid(layers));
        for (var seed = 0UL; seed < (ulong)settings.Seeds; seed++)
        {
            var preset = UnlearnConfig.FromPreset("falcon");
            var config = preset with
            {
                Model = settings.Model,
                Data = preset.Data with { Forget = settings.Data.Forget, Retain = settings.Data.Retain, Fields = settings.Data.Fields },
                Steps = settings.Steps,
                Seed = seed,
                Evaluation = new EvaluationConfig { Samples = 0 },
                Objective = preset.Objective with { Forget = [.. preset.Objective.Forget.Where(term => term is not AnswerBound)] },
                Optimizer = preset.Optimizer with { Decay = LearningRateDecay.Constant },
            };
            var analysis = LayerAnalysis.Measure(
                start,
                topics,
                config.Layers with
                {
                    BootstrapRounds = 0,
                },
                (0, layers - 1),
                (0, layers - 1),
                seed,
                tokenizer.PadId ?? 0,
                context.Log,
                context.Cancellation
            );
            var texts = new Sample(topics, settings.Texts, seed, tokenizer.PadId ?? 0, context.Cancellation);
            var (forgetStart, retainStart) = (texts.ForgetLoss(start), texts.RetainLoss(start));
            for (var layer = 0; layer < layers; layer++)
            {
                information[layer]
                    .Add(
                        analysis.Layers[layer].MutualInformation
                            ?? throw new NumericalFailureException($"layer {layer}: {analysis.Layers[layer].Note}")
                    );
                var at = layer;
                new MeasuredTraining(context).Run(
                    config with
                    {
                        Layers = config.Layers with { Target = layer, Trained = settings.Trained },
                    },
                    [settings.Steps],
                    (_, updated, _) =>
                    {
                        var names = TrainedParameters.Select(checkpoint.Config, at, settings.Trained, config.Layers.Parameters);
                        var found = ShareOfDamage(settings.Damage, way =>
                            On(start, updated, names, way, model => texts.RetainLoss(model) - retainStart)
                        );
                        share[at].Add(found);
                        effect[at].Add(On(start, updated, names, found, model => texts.ForgetLoss(model) - forgetStart));
                        return true;
                    }
                );
                var line = string.Create(
                    CultureInfo.InvariantCulture,
                    $"seed {seed}, layer {layer}: information {information[layer][^1]:F2}, forget effect {effect[layer][^1]:F3} at "
                        + $"{share[layer][^1]:F2} of the update"
                );
                context.Log.Information(line);
            }
        }

        List<double>[] depth = [.. Enumerable.Range(0, layers).Select(layer => Enumerable.Repeat((double)layer, settings.Seeds).ToList())];
        var result = new LayerBenchmarkResult(
            [.. Enumerable.Range(0, layers).Select(layer => new LayerTradeOff(layer, information[layer], effect[layer], share[layer]))],
            Correlate(information, effect), Correlate(information, depth), Correlate(effect, depth), settings);
        OutputFile.Write(Path.Combine(settings.Out, "layers.json"), JsonSerializer.Serialize(result, ResultJson.Options) + "\n");
        OutputFile.Write(Path.Combine(settings.Out, "layers.md"), result.Markdown());
        return result;
    }

    /// <summary>
    /// The share of an update at which the damage reaches a value: doubled until it does, then halved in between; the farthest share where
    /// it never does.
    /// </summary>
    internal static double ShareOfDamage(double damage, Func<double, double> damageAt)
    {
        var (low, high) = (0.0, 1.0);
        while (damageAt(high) < damage)
        {
            if (high >= FarthestShare) return high;
            (low, high) = (high, 2 * high);
        }

        for (var i = 0; i < Halvings; i++)
        {
            var middle = (low + high) / 2;
            if (damageAt(middle) < damage) low = middle;
            else high = middle;
        }

        return (low + high) / 2;
    }

    private static double On(CausalLM start, CausalLM updated, IReadOnlyList<string> names, double share, Func<CausalLM, double> measure)
    {
        using var guard = no_grad();
        using var scope = NewDisposeScope();
        return measure(
            start.With(names.ToDictionary(name => name, name => start.Weight(name) + (updated.Weight(name) - start.Weight(name)) * share))
        );
    }

    private static LayerCorrelation Correlate(List<double>[] first, List<double>[] second)
    {
        var random = new SeededRandom(0, "layers, draws");
        var seeds = first[0].Count;
        double Of(int[] drawn) =>
            RankCorrelation.Spearman(
                [.. first.Select(layer => drawn.Average(seed => layer[seed]))],
                [.. second.Select(layer => drawn.Average(seed => layer[seed]))]
            );
        double[] drawn =
        [
            .. Enumerable.Range(0, Draws).Select(_ => Of([.. Enumerable.Range(0, seeds).Select(_ => random.Next(seeds))])).Order(),
        ];
        var pValue = RankCorrelation.PermutationPValue(
            [.. first.Select(layer => layer.Average())],
            [.. second.Select(layer => layer.Average())],
            random
        );
        return new LayerCorrelation(
            Of([.. Enumerable.Range(0, seeds)]),
            Intervals.Quantile(drawn, 0.025),
            Intervals.Quantile(drawn, 0.975),
            pValue
        );
    }

    private static List<double>[] Grid(int layers) => [.. Enumerable.Range(0, layers).Select(_ => new List<double>())];

    /// <summary>The texts whose answer loss is measured, drawn by the seed from all topics.</summary>
    private sealed class Sample(IReadOnlyList<TopicTexts> topics, int count, ulong seed, int padId, CancellationToken cancellation)
    {
        private readonly IReadOnlyList<ScoredSequence> _forget = Draw(
            [.. topics.SelectMany(topic => topic.Forget.Zip(topic.ForgetAnswers))],
            count,
            seed,
            "layers, forget"
        );
        private readonly IReadOnlyList<ScoredSequence> _retain = Draw(
            [.. topics.DistinctBy(topic => topic.Retain).SelectMany(topic => topic.Retain.Zip(topic.RetainAnswers))],
            count,
            seed,
            "layers, retain"
        );

        public double ForgetLoss(CausalLM model) => Loss(model, _forget);

        public double RetainLoss(CausalLM model) => Loss(model, _retain);

        private double Loss(CausalLM model, IReadOnlyList<ScoredSequence> texts) =>
            TokenLikelihoods.Compute(model, texts, padId, cancellation: cancellation).Average(scores => -scores.LogProbabilities.Average());

        private static List<ScoredSequence> Draw(List<(int[] Text, int AnswerFrom)> texts, int count, ulong seed, string purpose)
        {
            List<(int[] Text, int AnswerFrom)> usable = [.. texts.Where(text => text.AnswerFrom < text.Text.Length - 1)];
            return
            [
                .. new SeededRandom(seed, purpose)
                    .Permutation(usable.Count)
                    .Take(count)
                    .Select(i => new ScoredSequence(usable[i].Text, usable[i].AnswerFrom + 1)),
            ];
        }
    }
}
