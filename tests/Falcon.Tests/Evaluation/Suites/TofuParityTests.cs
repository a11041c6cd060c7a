using System.Globalization;
using System.Text.Json;
using Falcon.Evaluation.Metrics;
using Falcon.Tests.Evaluation.Metrics;

namespace Falcon.Tests.Evaluation.Suites;

/// <summary>
/// Truth ratio, model utility and forget quality against TOFU's and OpenUnlearning's published code, on made-up numbers and on TOFU's real
/// logs.
/// </summary>
[Trait("Category", "Parity")]
[Trait("Parity", "true")]
public class TofuParityTests
{
    private const double OpenUnlearningGuard = 1e-10;

    private static readonly (string Log, string Aggregate, string Utilities, string Open)[] Sets =
    [
        ("eval_log.json", "Retain", "Retain", "retain"),
        ("eval_real_author_wo_options.json", "Real Authors", "Real Authors", "ra"),
        ("eval_real_world_wo_options.json", "Real World", "Real World", "wf"),
        ("eval_log_forget.json", "Forget", "Forget", "forget"),
    ];

    public static TheoryData<string> TruthRatios() => MetricFixtures.Of("truth ratio");

    public static TheoryData<string> Golden() => MetricFixtures.Of("tofu");

    [Theory(SkipTestWithoutData = true)]
    [MemberData(nameof(TruthRatios))]
    public void TruthRatio_Items_AgreeWithPublishedCode(string file)
    {
        var root = MetricFixtures.Read(file);
        var values = new Dictionary<string, List<double>>();
        foreach (var item in root.GetProperty("items").EnumerateArray())
        {
            var correct = item.Number("correct_avg_loss");
            var wrong = item.GetProperty("wrong_avg_losses").Doubles();
            var aggregate = TruthRatio.Ratio(TruthRatioDefinition.TofuAggregate, correct, wrong);
            var utilities = TruthRatio.Ratio(TruthRatioDefinition.TofuUtilities, correct, wrong);
            var open = TruthRatio.Ratio(TruthRatioDefinition.OpenUnlearning, correct, wrong);
            var made = new Dictionary<string, double>
            {
                ["probability_w_options"] = AnswerProbability.AmongOptions(correct, wrong, OpenUnlearningGuard),
                ["truth_ratio"] = open,
                ["truth_ratio_prob_mean"] = TruthRatio.CorrectShare(correct, wrong),
                ["tofu_aggregate_eval_stat_ratio"] = aggregate,
                ["tofu_utils_ratio"] = utilities,
                ["truth_ratio_closer_to_1_better"] = TruthRatio.ForgetScore(TruthRatioDefinition.OpenUnlearning, open),
                ["truth_ratio_true_better"] = TruthRatio.RetainScore(TruthRatioDefinition.OpenUnlearning, open),
                ["tofu_aggregate_eval_stat_forget"] = TruthRatio.ForgetScore(TruthRatioDefinition.TofuAggregate, aggregate),
                ["tofu_aggregate_eval_stat_non_forget"] = TruthRatio.RetainScore(TruthRatioDefinition.TofuAggregate, aggregate),
                ["tofu_utils_forget"] = TruthRatio.ForgetScore(TruthRatioDefinition.TofuUtilities, utilities),
                ["tofu_utils_non_forget"] = TruthRatio.RetainScore(TruthRatioDefinition.TofuUtilities, utilities),
            };
            foreach (var expected in item.GetProperty("expected").EnumerateObject())
                MetricFixtures.Close(expected.Value.GetDouble(), made[expected.Name], expected.Name);
            foreach (var (name, value) in made)
            {
                values.TryAdd(name, []);
                values[name].Add(value);
            }
        }
        foreach (var expected in root.GetProperty("aggregates").EnumerateObject())
            MetricFixtures.Close(expected.Value.GetDouble(), values[expected.Name].Average(), expected.Name);
    }

    [Theory(SkipTestWithoutData = true)]
    [MemberData(nameof(TruthRatios))]
    public void HarmonicMean_AndKolmogorovSmirnov_AgreeWithScipy(string file)
    {
        var root = MetricFixtures.Read(file);
        foreach (var one in root.GetProperty("harmonic_mean").EnumerateArray())
            MetricFixtures.Close(
                one.Number("harmonic_mean"),
                ModelUtility.HarmonicMean(one.GetProperty("values").Doubles()),
                "harmonic mean"
            );
        foreach (var one in root.GetProperty("ks_2samp").EnumerateArray())
        {
            var result = KolmogorovSmirnov.Test(one.GetProperty("x").Doubles(), one.GetProperty("y").Doubles());
            MetricFixtures.Close(one.Number("statistic"), result.Statistic, one.Text("note"));
            MetricFixtures.Close(one.Number("p_value"), result.PValue, one.Text("note"), floor: 0);
        }
    }

    [Theory(SkipTestWithoutData = true)]
    [MemberData(nameof(Golden))]
    public void PublishedLogs_GiveThePublishedParts(string file)
    {
        foreach (var log in MetricFixtures.Read(file).GetProperty("logs").EnumerateObject())
        {
            var path = MetricFixtures.Beside(file, log.Value.Text("file"));
            if (path is null) Assert.Skip($"needs {log.Value.Text("file")} beside the golden file or in the shared fixtures");
            AssertParts(log.Value, MetricFixtures.Read(path));
        }
    }

    [Theory(SkipTestWithoutData = true)]
    [MemberData(nameof(Golden))]
    public void PublishedLogs_GiveTheForgetQuality(string file)
    {
        var root = MetricFixtures.Read(file);
        foreach (var pair in root.GetProperty("pairs").EnumerateArray())
        {
            var ratios = new[] { "unlearned", "retain" }
                .Select(side =>
                {
                    var path = MetricFixtures.Beside(file, root.GetProperty("logs").GetProperty(pair.Text(side)).Text("file"));
                    return path is null
                        ? null
                        : Ratios(MetricFixtures.Read(path).GetProperty("eval_log_forget.json"), TruthRatioDefinition.TofuAggregate);
                })
                .ToArray();
            if (ratios is not [{ } unlearned, { } retain])
            {
                Assert.Skip("needs the logs beside the golden file or in the shared fixtures");
                return;
            }
            foreach (var (key, made) in new[] { ("first_3_ratios_unlearned", unlearned), ("first_3_ratios_retain", retain) })
                Assert.All(pair.GetProperty(key).Doubles().Zip(made), both => MetricFixtures.Close(both.First, both.Second, key));
            var result = KolmogorovSmirnov.Test(unlearned, retain);
            MetricFixtures.Close(pair.Number("ks_statistic"), result.Statistic, pair.Text("id"));
            MetricFixtures.Close(pair.Number("forget_quality"), result.PValue, pair.Text("id"), floor: 0);
            MetricFixtures.Close(pair.Number("log10_forget_quality"), Math.Log10(result.PValue), pair.Text("id"), floor: 1e-12);
        }
    }

    private static void AssertParts(JsonElement golden, JsonElement log)
    {
        var aggregate = new List<TofuSetScores>();
        var utilities = new List<TofuSetScores>();
        var open = new List<TofuSetScores>();
        foreach (var (name, aggregateName, utilitiesName, openName) in Sets)
        {
            var set = log.GetProperty(name);
            var rouge = Values(set, "rougeL_recall").Average();
            var probability = Probability(set, guard: 0);
            aggregate.Add(new TofuSetScores(probability, rouge, Score(set, TruthRatioDefinition.TofuAggregate, openName)));
            utilities.Add(new TofuSetScores(probability, rouge, Score(set, TruthRatioDefinition.TofuUtilities, openName)));
            open.Add(
                new TofuSetScores(Probability(set, OpenUnlearningGuard), rouge, Score(set, TruthRatioDefinition.OpenUnlearning, openName))
            );
            AssertSet(
                golden.GetProperty("aggregate_eval_stat"),
                aggregate[^1],
                $"Prob. {aggregateName}",
                $"ROUGE {aggregateName}",
                $"Truth Ratio {aggregateName}"
            );
            AssertSet(
                golden.GetProperty("utils"),
                utilities[^1],
                $"{utilitiesName} Probability",
                $"{utilitiesName} ROUGE",
                $"{utilitiesName} Truth Ratio"
            );
            var expected = golden.GetProperty("open_unlearning");
            if (openName != "forget")
                AssertSet(
                    expected,
                    open[^1],
                    openName == "retain" ? "retain_Q_A_Prob" : $"{openName}_Q_A_Prob_normalised",
                    $"{openName}_Q_A_ROUGE",
                    $"{openName}_Truth_Ratio"
                );
            else
                MetricFixtures.Close(expected.Number("forget_truth_ratio"), open[^1].TruthRatio, "forget_truth_ratio");
        }
        var forget = log.GetProperty("eval_log_forget.json");
        var share = Losses(forget).Select(losses => TruthRatio.CorrectShare(losses.Correct, losses.Wrong)).Average();
        MetricFixtures.Close(golden.GetProperty("open_unlearning").Number("forget_truth_ratio_prob_mean"), share, "prob_mean");
        MetricFixtures.Close(
            golden.GetProperty("aggregate_eval_stat").Number("Model Utility"),
            ModelUtility.Of(aggregate[0], aggregate[1], aggregate[2]),
            "Model Utility"
        );
        MetricFixtures.Close(
            golden.GetProperty("utils").Number("Model Utility"),
            ModelUtility.Of(utilities[0], utilities[1], utilities[2]),
            "Model Utility"
        );
        MetricFixtures.Close(
            golden.GetProperty("open_unlearning").Number("model_utility"),
            ModelUtility.Of(open[0], open[1], open[2]),
            "model_utility"
        );
    }

    private static void AssertSet(JsonElement expected, TofuSetScores actual, string probability, string rouge, string truthRatio)
    {
        MetricFixtures.Close(expected.Number(probability), actual.Probability, probability);
        MetricFixtures.Close(expected.Number(rouge), actual.RougeL, rouge);
        MetricFixtures.Close(expected.Number(truthRatio), actual.TruthRatio, truthRatio);
    }

    // The sets with options are those whose logs hold the normalised loss.
    private static double Probability(JsonElement set, double guard) => set.TryGetProperty("normalized_gt_loss", out _)
        ? Values(set, "avg_gt_loss").Zip(Losses(set), (loss, losses) => AnswerProbability.AmongOptions(loss, losses.Wrong, guard)).Average()
        : Values(set, "avg_gt_loss").Select(AnswerProbability.FromLoss).Average();

    private static double Score(JsonElement set, TruthRatioDefinition definition, string name) =>
        Ratios(set, definition)
            .Select(ratio => name == "forget" ? TruthRatio.ForgetScore(definition, ratio) : TruthRatio.RetainScore(definition, ratio))
            .Average();

    private static double[] Ratios(JsonElement set, TruthRatioDefinition definition) =>
        [.. Losses(set).Select(losses => TruthRatio.Ratio(definition, losses.Correct, losses.Wrong))];

    private static IEnumerable<(double Correct, double[] Wrong)> Losses(JsonElement set) =>
        Values(set, "avg_paraphrased_loss").Zip(ByIndex(set.GetProperty("average_perturb_loss")).Select(one => one.Doubles()));

    private static IEnumerable<double> Values(JsonElement set, string key) => ByIndex(set.GetProperty(key)).Select(one => one.GetDouble());

    private static IEnumerable<JsonElement> ByIndex(JsonElement map) =>
        map.EnumerateObject().OrderBy(one => int.Parse(one.Name, CultureInfo.InvariantCulture)).Select(one => one.Value);
}
