using Falcon.Data;
using Falcon.Optimization;
using Falcon.Methods.Falcon;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Falcon.Checkpoints;
using Falcon.Engine;
using Falcon.Evaluation;
using Falcon.Evaluation.Metrics;
using Falcon.Models;
using Falcon.Research.League;
using Falcon.Runs;
using Falcon.Runs.Configuration;
using Falcon.Runtime;
using Falcon.Tokenization;
using static TorchSharp.torch;

namespace Falcon.Research.Layers;

/// <summary>How layers are compared.</summary>
/// <param name="Model">Checkpoint directory.</param>
/// <param name="Data">Forget and retain files.</param>
/// <param name="Out">Folder of layers.json and layers.md; it may exist.</param>
public sealed record LayerBenchmarkSettings(string Model, DataSettings Data, string Out)
{
    /// <summary>Repetitions with other texts, batches and offset vectors.</summary>
    public int Seeds { get; init; } = 3;

    /// <summary>Steps of a trial.</summary>
    public int Steps { get; init; } = 10;

    /// <summary>
    /// Layers that a trial trains: the target and those right below it; with 1 every layer has the same number of parameters.
    /// </summary>
    public int Trained { get; init; } = 1;

    /// <summary>The rise of the retain answers' loss, in nats a token, at which forgetting is compared.</summary>
    public double Damage { get; init; } = 0.05;

    /// <summary>Forget and retain texts whose loss is measured.</summary>
    public int Texts { get; init; } = 48;
}

/// <summary>What was measured at a layer; the lists have one value a seed.</summary>
/// <param name="Layer">0-based.</param>
/// <param name="Information">I(l) of forget and retain activations in nats (<see cref="LayerAnalysis"/>).</param>
/// <param name="ForgetEffect">
/// Rise of the forget answers' loss in nats a token where the retain answers' loss has risen by the same amount at every layer.
/// </param>
/// <param name="Share">How far along the way of the trial's update that is; above 1 is beyond its end.</param>
public sealed record LayerTradeOff(
    int Layer,
    IReadOnlyList<double> Information,
    IReadOnlyList<double> ForgetEffect,
    IReadOnlyList<double> Share
);

/// <summary>A rank correlation over layers.</summary>
/// <param name="Value">Spearman's coefficient of the means over the seeds.</param>
/// <param name="Low">2.5 % quantile over draws of the seeds with replacement.</param>
/// <param name="High">97.5 % quantile.</param>
/// <param name="PValue">Two-sided, over random pairings of the layers.</param>
public sealed record LayerCorrelation(double Value, double Low, double High, double PValue);

/// <summary>Whether the mutual information of a layer foretells what unlearning at it costs.</summary>
/// <param name="Layers">Every layer.</param>
/// <param name="InformationAndEffect">
/// Mutual information against forget effect; the method chooses the LOWEST information, so it counts on a negative one.
/// </param>
/// <param name="InformationAndDepth">Mutual information against the number of the layer.</param>
/// <param name="EffectAndDepth">Forget effect against the number of the layer.</param>
/// <param name="Settings">How it was measured.</param>
public sealed record LayerBenchmarkResult(
    IReadOnlyList<LayerTradeOff> Layers,
    LayerCorrelation InformationAndEffect,
    LayerCorrelation InformationAndDepth,
    LayerCorrelation EffectAndDepth,
    LayerBenchmarkSettings Settings
)
{
    /// <summary>The table in Markdown.</summary>
    public string Markdown()
    {
        var text = new StringBuilder(
            "| layer | mutual information | forget effect at equal damage | over the seeds | share of the update "
                + "|\n|---:|---:|---:|---|---:|\n"
        );
        foreach (var layer in Layers)
            text.Append(
                CultureInfo.InvariantCulture,
                $"| {layer.Layer} | {layer.Information.Average():F2} | {layer.ForgetEffect.Average():F3} | {layer.ForgetEffect.Min():F3} "
                    + $"to {layer.ForgetEffect.Max():F3} | {layer.Share.Average():F2} |\n"
            );
        text.Append("\n| rank correlation over layers | Spearman | 95 % over the seeds | p |\n|---|---:|---|---:|\n");
        foreach (
            var (name, value) in new[]
            {
                ("information and forget effect", InformationAndEffect),
                ("information and depth", InformationAndDepth),
                ("forget effect and depth", EffectAndDepth),
            }
        )
            text.Append(
                CultureInfo.InvariantCulture,
                $"| {name} | {value.Value:F2} | {value.Low:F2} to {value.High:F2} | {value.PValue:G2} |\n"
            );
        return text.Append(
                CultureInfo.InvariantCulture,
                $"\nTrials of {Settings.Steps} steps of the falcon preset without bound and decay, at each layer alone "
                    + $"({Settings.Trained} trained), {Settings.Seeds} seeds; forget effect: rise of the loss of {Settings.Texts} forget "
                    + $"answers, in nats a token, at the point of the way along the update where that of {Settings.Texts} retain answers "
                    + $"has risen by {Settings.Damage}.\n\n    falcon bench layers --model {Settings.Model} --forget "
                    + $"{string.Join(',', Settings.Data.Forget)} --retain {string.Join(',', Settings.Data.Retain)} --seeds "
                    + $"{Settings.Seeds} --steps {Settings.Steps} --trained {Settings.Trained} --damage {Settings.Damage} --out "
                    + $"{Settings.Out}\n"
            )
            .ToString();
    }
}

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
        var compute = ComputeOptions.Choose(context.Device, context.DType, checkpoint.ParameterCount);
        using var weights = checkpoint.LoadWeights(compute.DType, compute.Device);
        var start = new CausalLM(checkpoint.Config, weights);
        var tokenizer = HfTokenizer.Load(settings.Model);
        var topics = TopicTexts.Read(settings.Data, tokenizer);
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
                context.Log.Information(
                    FormattableString.Invariant(
                        $"seed {seed}, layer {layer}: information {information[layer][^1]:F2}, forget effect {effect[layer][^1]:F3} at {share[layer][^1]:F2} of the update"
                    )
                );
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
