using System.Text.Json;
using Falcon.Evaluation.Metrics;

namespace Falcon.Tests.Evaluation.Metrics;

/// <summary>ROUGE and stems against the numbers of rouge_score and NLTK (fixtures' README, section 2).</summary>
[Trait("Category", "Parity")]
[Trait("Parity", "true")]
public class RougeParityTests
{
    public static TheoryData<string> Cases() => MetricFixtures.Of("rouge");

    public static TheoryData<string> Logs() => MetricFixtures.Of("rouge logs");

    public static TheoryData<string> Means() => MetricFixtures.Of("rouge means");

    public static TheoryData<string> Stems() => MetricFixtures.Of("stems");

    [Theory(SkipTestWithoutData = true)]
    [MemberData(nameof(Cases))]
    public void Rouge_Cases_AgreeWithReference(string file)
    {
        foreach (var one in MetricFixtures.Read(file).GetProperty("cases").EnumerateArray())
        {
            var (reference, prediction) = (one.Text("reference"), one.Text("prediction"));
            if (one.TryGetProperty("reference_tokens_stemmed", out var tokens))
                Assert.Equal(tokens.Strings(), Rouge.Tokenize(reference, stem: true));
            if (one.TryGetProperty("prediction_tokens_stemmed", out tokens))
                Assert.Equal(tokens.Strings(), Rouge.Tokenize(prediction, stem: true));
            foreach (var stem in new[] { true, false })
            {
                foreach (var metric in one.GetProperty(stem ? "stemmed" : "unstemmed").EnumerateObject())
                {
                    var score =
                        metric.Name == "rougeL"
                            ? Rouge.LongestCommonSubsequence(reference, prediction, stem)
                            : Rouge.NGrams(
                                reference,
                                prediction,
                                int.Parse(metric.Name["rouge".Length..], System.Globalization.CultureInfo.InvariantCulture),
                                stem
                            );
                    AssertScore(metric.Value, score, $"{reference} | {prediction} {metric.Name}");
                }
            }
        }
    }

    [Theory(SkipTestWithoutData = true)]
    [MemberData(nameof(Logs))]
    public void Rouge_PublishedLogs_AreReproduced(string file)
    {
        foreach (var one in MetricFixtures.Read(file).GetProperty("cases").EnumerateArray())
        {
            var longest = Rouge.LongestCommonSubsequence(one.Text("reference"), one.Text("prediction"), stem: true);
            var single = Rouge.NGrams(one.Text("reference"), one.Text("prediction"), 1, stem: true);
            Assert.Equal(one.Number("rouge1_recall"), single.Recall);
            Assert.Equal(one.Number("rougeL_recall"), longest.Recall);
            MetricFixtures.Close(one.Number("rougeL_precision"), longest.Precision, one.Text("prediction"));
            MetricFixtures.Close(one.Number("rougeL_f1"), longest.F1, one.Text("prediction"));
        }
    }

    [Theory(SkipTestWithoutData = true)]
    [MemberData(nameof(Means))]
    public void Rouge_UnstemmedMeans_AgreeWithMuse(string file)
    {
        var root = MetricFixtures.Read(file);
        var sums = new Dictionary<string, List<double>>();
        foreach (var one in root.GetProperty("examples").EnumerateArray())
        {
            var longest = Rouge.LongestCommonSubsequence(one.Text("reference"), one.Text("prediction"), stem: false);
            var single = Rouge.NGrams(one.Text("reference"), one.Text("prediction"), 1, stem: false);
            foreach (
                var (name, value) in new[]
                {
                    ("rougeL", longest.F1),
                    ("rougeL_recall", longest.Recall),
                    ("rouge1", single.F1),
                    ("rouge1_recall", single.Recall),
                }
            )
            {
                MetricFixtures.Close(one.Number(name), value, name);
                sums.TryAdd(name, []);
                sums[name].Add(value);
            }
        }
        foreach (var expected in root.GetProperty("expected").EnumerateObject())
        {
            var values = sums[expected.Name[(expected.Name.IndexOf('_', StringComparison.Ordinal) + 1)..]];
            MetricFixtures.Close(
                expected.Value.GetDouble(),
                expected.Name.StartsWith("max", StringComparison.Ordinal) ? values.Max() : SampleMean.Of(values).Mean,
                expected.Name
            );
        }
    }

    [Theory(SkipTestWithoutData = true)]
    [MemberData(nameof(Stems))]
    public void Stem_EveryWord_AgreesWithNltk(string file)
    {
        foreach (var stem in MetricFixtures.Read(file).GetProperty("stems").EnumerateObject())
            Assert.True(
                stem.Value.GetString() == PorterStemmer.Stem(stem.Name),
                $"{stem.Name}: expected {stem.Value}, got {PorterStemmer.Stem(stem.Name)}"
            );
    }

    private static void AssertScore(JsonElement expected, RougeScore actual, string what)
    {
        MetricFixtures.Close(expected.Number("precision"), actual.Precision, what);
        MetricFixtures.Close(expected.Number("recall"), actual.Recall, what);
        MetricFixtures.Close(expected.Number("f1"), actual.F1, what);
    }
}
