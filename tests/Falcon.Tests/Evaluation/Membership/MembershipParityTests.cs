using System.Globalization;
using System.Text.Json;
using Falcon.Compression;
using Falcon.Evaluation.Membership;
using Falcon.Evaluation.Metrics;
using Falcon.Tests.Evaluation.Metrics;

namespace Falcon.Tests.Evaluation.Membership;

/// <summary>
/// Memorisation, membership inference and privacy leakage against OpenUnlearning's and MUSE's functions (fixtures' README, sections 6 and
/// 7).
/// </summary>
[Trait("Category", "Parity")]
[Trait("Parity", "true")]
public class MembershipParityTests
{
    public static TheoryData<string> Examples() => MetricFixtures.Of("memorization");

    public static TheoryData<string> Sets() => MetricFixtures.Of("membership");

    public static TheoryData<string> Aucs() => MetricFixtures.Of("auc");

    public static TheoryData<string> Muse() => MetricFixtures.Of("muse privacy");

    [Theory(SkipTestWithoutData = true)]
    [MemberData(nameof(Examples))]
    public void Memorization_Examples_AgreeWithOpenUnlearning(string file)
    {
        var root = MetricFixtures.Read(file);
        List<double> probabilities = [], exact = [], strengths = [];
        foreach (var example in root.GetProperty("examples").EnumerateArray())
        {
            var expected = example.GetProperty("expected");
            var all = Tokens(example);
            var tokens = all[..^1]; // the last labelled token stands for the end of the sequence
            var name = example.Text("name");
            var loss = AnswerProbability.Loss([.. all.Select(token => token.LogProbability)]);
            bool[] hits = [.. tokens.Select(token => token.IsHit)];
            double[] logProbabilities = [.. tokens.Select(token => token.LogProbability)];

            MetricFixtures.Close(expected.Number("avg_loss"), loss, name);
            MetricFixtures.Close(expected.Number("prob"), AnswerProbability.FromLoss(loss), name);
            Assert.Equal(expected.GetProperty("predictions").Integers(), tokens.Select(token => token.Prediction));
            Assert.All(expected.GetProperty("token_logprobs").Doubles().Zip(logProbabilities), pair =>
                MetricFixtures.Close(pair.First, pair.Second, name)
            );
            Assert.Equal(
                expected.GetProperty("exact_memorization").ValueKind == JsonValueKind.Null,
                Memorization.ExactMemorization(hits) is null
            );
            if (Memorization.ExactMemorization(hits) is { } share)
            {
                MetricFixtures.Close(expected.Number("exact_memorization"), share, name);
                exact.Add(share);
            }
            MetricFixtures.Close(expected.Number("extraction_strength"), Memorization.ExtractionStrength(hits), name);
            foreach (var one in expected.GetProperty("min_k").EnumerateObject())
                MetricFixtures.Close(one.Value.GetDouble(), MembershipInference.MinK(logProbabilities, Share(one.Name)), name);
            foreach (var one in expected.GetProperty("min_k_plus_plus").EnumerateObject())
                MetricFixtures.Close(one.Value.GetDouble(), MembershipInference.MinKPlusPlus(tokens, Share(one.Name)), name, floor: 1e-11);
            Assert.Equal(
                expected.GetProperty("zlib_bytes").GetInt64(),
                ZlibLength.Of(System.Text.Encoding.UTF8.GetBytes(example.Text("text")))
            );
            MetricFixtures.Close(expected.Number("loss_over_zlib"), MembershipInference.ZlibRatio(loss, example.Text("text")), name);
            probabilities.Add(AnswerProbability.FromLoss(loss));
            strengths.Add(Memorization.ExtractionStrength(hits));
        }
        var aggregates = root.GetProperty("aggregates");
        // The published aggregates went through float32.
        MetricFixtures.Close(aggregates.Number("probability"), probabilities.Average(), "probability", floor: 1e-6);
        MetricFixtures.Close(aggregates.Number("exact_memorization"), exact.Average(), "exact memorization", floor: 1e-6);
        MetricFixtures.Close(aggregates.Number("extraction_strength"), strengths.Average(), "extraction strength", floor: 1e-6);
    }

    [Theory(SkipTestWithoutData = true)]
    [MemberData(nameof(Sets))]
    public void MembershipInference_TwoSets_AgreeWithOpenUnlearning(string file)
    {
        var root = MetricFixtures.Read(file);
        foreach (var attack in root.GetProperty("expected").EnumerateObject())
        {
            var scores = new[] { "forget", "holdout" }
                .Select(set => root.GetProperty(set).EnumerateArray().Select(example => Score(attack.Name, example)).ToArray())
                .ToArray();
            foreach (var (key, made) in new[] { ("forget_scores", scores[0]), ("holdout_scores", scores[1]) })
            {
                var expected = attack.Value.GetProperty(key).Doubles();
                Assert.Equal(expected.Length, made.Length);
                Assert.All(expected.Zip(made), pair => MetricFixtures.Close(pair.First, pair.Second, $"{attack.Name} {key}", floor: 1e-11));
            }
            MetricFixtures.Close(attack.Value.Number("auc"), MembershipInference.Auc(scores[0], scores[1]), attack.Name);
        }
    }

    [Theory(SkipTestWithoutData = true)]
    [MemberData(nameof(Aucs))]
    public void Auc_AndLeakage_AgreeWithOpenUnlearning(string file)
    {
        var root = MetricFixtures.Read(file);
        foreach (var one in root.GetProperty("auc").EnumerateArray())
            MetricFixtures.Close(
                one.Number("auc"),
                MembershipInference.Auc(one.GetProperty("forget_scores").Doubles(), one.GetProperty("holdout_scores").Doubles()),
                "auc"
            );
        foreach (var one in root.GetProperty("privleak").EnumerateArray())
        {
            var auc = one.Number("auc");
            var given = one.TryGetProperty("retain_auc", out var retain) && retain.ValueKind == JsonValueKind.Number;
            MetricFixtures.Close(
                one.Number("privleak"),
                given ? MembershipInference.PrivacyLeakage(auc, retain.GetDouble()) : MembershipInference.PrivacyLeakage(auc),
                "privleak"
            );
            MetricFixtures.Close(
                one.Number("rel_diff"),
                given ? MembershipInference.RelativeDifference(auc, retain.GetDouble()) : MembershipInference.RelativeDifference(auc),
                "rel_diff"
            );
        }
    }

    [Theory(SkipTestWithoutData = true)]
    [MemberData(nameof(Muse))]
    public void MusePrivacy_BigramModel_AgreesWithMuse(string file)
    {
        var root = MetricFixtures.Read(file);
        var model = new BigramModel(root);
        var statistics = new Dictionary<string, List<Dictionary<string, double?>>>();
        foreach (var set in root.GetProperty("texts").EnumerateObject())
        {
            var expected = root.GetProperty("expected").GetProperty(set.Name).EnumerateArray().ToArray();
            var made = set.Value.Strings().Select((text, i) => model.Statistics(text, expected[i])).ToList();
            for (var i = 0; i < expected.Length; i++) AssertStatistics(expected[i], made[i]);
            statistics[set.Name] = made;
        }
        foreach (var one in root.GetProperty("short_texts").EnumerateArray())
            AssertStatistics(one.GetProperty("expected"), model.Statistics(one.Text("text"), one.GetProperty("expected")));
        foreach (var auc in root.GetProperty("auc").EnumerateObject())
        {
            var key = auc.Name.Split('_', 3);
            var sides = key[..2].Select(set => statistics[set].Select(one => one[key[2]]!.Value).ToArray()).ToArray();
            MetricFixtures.Close(auc.Value.GetDouble(), MusePrivacy.Auc(sides[0], sides[1]), auc.Name);
        }
        foreach (var one in root.GetProperty("privleak").EnumerateArray())
            MetricFixtures.Close(
                one.Number("privleak"),
                MusePrivacy.PrivacyLeakage(one.Number("auc"), one.Number("auc_retrain")),
                "privleak",
                floor: 1e-11
            );
    }

    private static void AssertStatistics(JsonElement expected, Dictionary<string, double?> made)
    {
        foreach (var one in expected.EnumerateObject())
        {
            Assert.Equal(one.Value.ValueKind == JsonValueKind.Null, made[one.Name] is null);
            if (made[one.Name] is { } value) MetricFixtures.Close(one.Value.GetDouble(), value, one.Name);
        }
    }

    private static double Score(string attack, JsonElement example)
    {
        var all = Tokens(example);
        var loss = AnswerProbability.Loss([.. all.Select(token => token.LogProbability)]);
        var tokens = all[..^1];
        return attack.Split('@') switch
        {
            ["loss"] => loss,
            ["zlib"] => MembershipInference.ZlibRatio(loss, example.Text("text")),
            ["min_k", var share] => MembershipInference.MinK([.. tokens.Select(token => token.LogProbability)], Share(share)),
            ["min_k_plus_plus", var share] => MembershipInference.MinKPlusPlus(tokens, Share(share)),
            _ => throw new NotSupportedException($"the fixture names an attack that is not known: {attack}"),
        };
    }

    private static TokenStatistics[] Tokens(JsonElement example) =>
        TokenStatistics.OfLabels(
            [.. example.GetProperty("logits").EnumerateArray().Select(row => row.Doubles())],
            example.GetProperty("labels").Integers()
        );

    private static double Share(string text) => double.Parse(text, CultureInfo.InvariantCulture);

    /// <summary>
    /// The fixture's toy model: token 0 begins, then one token a character; the logits of the next token are a row of a table.
    /// </summary>
    private sealed class BigramModel(JsonElement fixture)
    {
        private readonly string _alphabet = fixture.Text("alphabet");
        private readonly double[][] _logits = [.. fixture.GetProperty("bigram_logits").EnumerateArray().Select(row => row.Doubles())];

        public Dictionary<string, double?> Statistics(string text, JsonElement expected)
        {
            var logProbabilities = LogProbabilities(text);
            var loss = AnswerProbability.Loss(logProbabilities);
            return expected.EnumerateObject().ToDictionary(one => one.Name, one => one.Name switch
            {
                "PPL" => loss,
                "PPL/lower" => MusePrivacy.LowerCaseRatio(loss, AnswerProbability.Loss(LogProbabilities(text.ToLowerInvariant()))),
                "PPL/zlib" => MusePrivacy.ZlibRatio(loss, text),
                _ => MusePrivacy.MinK(logProbabilities, Share(one.Name["Min-".Length..^1]) / 100),
            });
        }

        private double[] LogProbabilities(string text)
        {
            int[] tokens = [0, .. text.Select(character => 1 + _alphabet.IndexOf(character, StringComparison.Ordinal))];
            return
            [
                .. Enumerable
                    .Range(1, text.Length)
                    .Select(t => TokenStatistics.FromLogits(_logits[tokens[t - 1]], tokens[t]).LogProbability),
            ];
        }
    }
}
