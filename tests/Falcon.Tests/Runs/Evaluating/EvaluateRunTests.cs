using System.Text.Json;
using Falcon.Evaluation;
using Falcon.Evaluation.Metrics;
using Falcon.Results;
using Falcon.Runs.Evaluating;
using Falcon.Runtime;

namespace Falcon.Tests.Runs.Evaluating;

public sealed class EvaluateRunTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public EvaluateRunTests()
    {
        TinyModel.Write(_folder.At("model"), seed: 1);
        TinyModel.Write(_folder.At("other"), seed: 2);
        Directory.CreateDirectory(_folder.At("data"));
        foreach (
            var (set, paraphrase) in new[]
            {
                ("forget01", true),
                ("forget10", true),
                ("retain", true),
                ("real_authors", false),
                ("world_facts", false),
            }
        )
            File.WriteAllLines(
                _folder.At("data", $"{set}_perturbed.jsonl"),
                Enumerable
                    .Range(0, set == "forget10" ? 6 : 4)
                    .Select(i =>
                        JsonSerializer.Serialize(
                            new
                            {
                                question = $"Where is the {set} {i}?",
                                answer = i % 2 == 0 ? "the" : $"In town {i}",
                                paraphrased_answer = paraphrase ? $"It is in town {i}" : null,
                                perturbed_answer = new[] { "On the hill", $"At the sea {i}", "Nowhere" },
                            }
                        )
                    )
            );
    }

    public void Dispose() => _folder.Dispose();

    private EvaluationSettings Tofu(string model = "model") =>
        new(_folder.At(model), ["tofu"], _folder.At("data"), null, _folder.At("result.json"))
        {
            Questions = new QuestionSettings(MaxNewTokens: 4),
            Device = "cpu",
        };

    private static EvaluationResult Run(EvaluationSettings settings) =>
        EvaluateRun.Execute(settings, SilentRunLog.Instance, TimeProvider.System, TestContext.Current.CancellationToken);

    [Fact]
    public void Tofu_TakesTheLargestForgetSet_AndNamesMetricsAsOpenUnlearning()
    {
        var result = Run(Tofu());
        Assert.Equal(6, result.Metrics["forget_Q_A_Prob"].N);
        foreach (
            var name in new[]
            {
                "forget_truth_ratio",
                "forget_Q_A_ROUGE",
                "retain_Q_A_Prob",
                "retain_Truth_Ratio",
                "ra_Q_A_Prob_normalised",
                "wf_Q_A_ROUGE",
                "model_utility",
                "extraction_strength",
                "exact_memorization",
            }
        )
            Assert.NotNull(result.Metrics[name].Definition);
        Assert.DoesNotContain("forget_quality", result.Metrics.Keys);
        Assert.Equal(4, Run(Tofu() with { ForgetSplit = "forget01" }).Metrics["forget_Q_A_Prob"].N);
    }

    [Fact]
    public void Tofu_UtilityIsTheHarmonicMeanOfItsNineMetrics()
    {
        var metrics = Run(Tofu()).Metrics;
        double[] nine =
        [
            .. new[] { "retain_Q_A_Prob", "ra_Q_A_Prob_normalised", "wf_Q_A_Prob_normalised" }
                .Concat(new[] { "retain", "ra", "wf" }.SelectMany(set => new[] { $"{set}_Q_A_ROUGE", $"{set}_Truth_Ratio" }))
                .Select(name => metrics[name].Value),
        ];
        Assert.Equal(ModelUtility.HarmonicMean(nine), metrics["model_utility"].Value, 1e-12);
    }

    [Fact]
    public void Reference_ModelDirectoryOrItsResultFile_GivesTheSameComparison()
    {
        var byDirectory = Run(Tofu() with { Reference = _folder.At("other") });
        Run(Tofu("other") with { Out = _folder.At("other.json") });
        var byFile = Run(Tofu() with { Reference = _folder.At("other.json"), Out = _folder.At("second.json") });
        Assert.Equal(byDirectory.Metrics, byFile.Metrics);
        Assert.Equal("closer to other", byDirectory.Metrics["forget_truth_ratio"].Direction);
        Assert.NotNull(byDirectory.Metrics["retain_Q_A_Prob"].Reference);
        Assert.InRange(byDirectory.Metrics["forget_quality"].Value, 0, 1);
    }

    [Fact]
    public void Reference_TheModelItself_HasForgetQualityOne()
    {
        var metrics = Run(Tofu() with { Reference = _folder.At("model") }).Metrics;
        Assert.Equal(1, metrics["forget_quality"].Value);
        Assert.Equal(0, metrics["forget_ks_distance"].Value);
    }

    [Fact]
    public void SecondRun_IsReused_ButNotForAnotherModelNorOtherSettings()
    {
        var first = Run(Tofu());
        var second = Run(Tofu());
        Assert.False(first.Reused);
        Assert.True(second.Reused);
        Assert.Equal(first.Metrics, second.Metrics);
        Assert.False(Run(Tofu() with { Questions = new QuestionSettings(MaxNewTokens: 5) }).Reused);
        Assert.False(Run(Tofu("other")).Reused);
    }

    [Fact]
    public void File_HoldsWhatTheContractNames()
    {
        Run(Tofu());
        using var file = JsonDocument.Parse(File.ReadAllText(_folder.At("result.json")));
        var utility = file.RootElement.GetProperty("metrics").GetProperty("model_utility");
        foreach (var field in new[] { "value", "low", "high", "direction", "reference", "n", "definition" })
            Assert.True(utility.TryGetProperty(field, out _), field);
        Assert.Equal(64, file.RootElement.GetProperty("model").GetProperty("sha256").GetString()!.Length);
        Assert.Equal(4, file.RootElement.GetProperty("data").GetArrayLength());
    }

    [Fact]
    public void OtherSuites_MeasureTheirFiles()
    {
        var texts = _folder.At("texts.txt");
        File.WriteAllText(texts, "The ship lies in the harbour.\nIt is old.\n");
        var questions = _folder.At("questions");
        Directory.CreateDirectory(questions);
        File.WriteAllText(
            Path.Combine(questions, "a.jsonl"),
            """{"question": "Which?", "choices": ["this one", "that", "none"], "answer": 2}""" + "\n"
        );
        File.WriteAllText(Path.Combine(questions, "b.jsonl"), """{"question": "Who?", "choices": ["she", "he"], "answer": 0}""" + "\n");
        var metrics = Run(
            Tofu() with
            {
                Suites = ["mcq", "perplexity", "qa"],
                Data = $"mcq={questions},perplexity={texts},qa={questions}",
            }
        ).Metrics;
        Assert.Equal(2, metrics["acc"].N);
        Assert.Equal(1, metrics["b_acc_norm"].N);
        Assert.Equal(metrics["acc"].Value, (metrics["a_acc"].Value + metrics["b_acc"].Value) / 2);
        Assert.Equal(Math.Log2(metrics["byte_perplexity"].Value), metrics["bits_per_byte"].Value, 1e-9);
        Assert.Equal(2, metrics["word_perplexity"].N);
        Assert.Equal(1, metrics["a_Q_A_Prob"].N);
    }

    [Fact]
    public void WikiText_IsCutIntoPages_AndDetokenisedInItsRawFormOnly()
    {
        const string file = " = First = \n A ship , the old one , sank . \n = Second = \n It was 3 @,@ 000 years old . \n";
        double Bits(string name, string content)
        {
            var path = _folder.At(name);
            File.WriteAllText(path, content);
            var metric = Run(Tofu() with { Suites = ["perplexity"], Data = path }).Metrics["bits_per_byte"];
            Assert.Equal(2, metric.N);
            return metric.Value;
        }

        var raw = Bits("wiki.test.raw", file);
        var tokenised = Bits("test.txt", file);
        Assert.NotEqual(raw, tokenised);
        Assert.Equal(tokenised, Bits("wiki.test.tokens", file));
    }

    [Fact]
    public async Task WikiText_AsTheHubServesIt_IsTheRawFile()
    {
        // A row a line with its line feed; blank lines, a space in the file, are empty rows there.
        string[] rows =
        [
            "",
            " = First = \n",
            "",
            " A ship , the old one , sank . \n",
            "",
            " = Second = \n",
            " It was 3 @,@ 000 years old . \n",
        ];
        Directory.CreateDirectory(_folder.At("hub", "wikitext-2-raw-v1"));
        foreach (var split in new[] { "train", "test" })
        {
            await using var stream = File.Create(_folder.At("hub", "wikitext-2-raw-v1", $"{split}-00000-of-00001.parquet"));
            await Parquet.Serialization.ParquetSerializer.SerializeAsync(
                rows.Select(row => new TextRow { text = row }).Concat(split == "train" ? [new TextRow { text = " more " }] : []).ToList(),
                stream
            );
        }

        File.WriteAllText(_folder.At("wiki.test.raw"), string.Concat(rows.Select(row => row.Length == 0 ? " \n" : row)));
        MetricValue Bits(string data) => Run(Tofu() with { Suites = ["perplexity"], Data = data }).Metrics["bits_per_byte"];
        Assert.Equal(Bits(_folder.At("wiki.test.raw")).Value, Bits(_folder.At("hub")).Value);
        Assert.Equal(2, Bits(_folder.At("hub")).N);
    }

    public sealed class TextRow
    {
        public string text { get; set; } = "";
    }

    [Fact]
    public void WrongInput_IsNamed_AndLeavesNothing()
    {
        void Refused(EvaluationSettings settings, string part)
        {
            Assert.Contains(part, Assert.Throws<UserInputException>(() => Run(settings)).Message, StringComparison.Ordinal);
            Assert.False(File.Exists(_folder.At("result.json")));
        }

        Directory.CreateDirectory(_folder.At("empty"));
        File.WriteAllText(_folder.At("empty.jsonl"), "");
        File.WriteAllText(_folder.At("plain.txt"), "a text\n");
        Refused(Tofu() with { Data = _folder.At("nowhere") }, "forgetNN_perturbed.jsonl");
        Refused(Tofu() with { Data = _folder.At("empty") }, "forgetNN_perturbed.jsonl");
        Refused(Tofu() with { ForgetSplit = "forget07" }, "forget07_perturbed.jsonl");
        Refused(Tofu() with { Suites = ["mcq"], Data = _folder.At("empty") }, "choices");
        Refused(Tofu() with { Suites = ["mcq"], Data = _folder.At("empty.jsonl") }, "empty");
        Refused(Tofu() with { Suites = ["perplexity"] }, "plain text");
        Refused(Tofu("nowhere"), "nowhere");
        Refused(Tofu() with { Reference = _folder.At("nowhere") }, "nowhere");
        Refused(Tofu() with { Reference = _folder.At("plain.txt") }, "no result file");

        File.Copy(_folder.At("plain.txt"), _folder.At("result.json"));
        Assert.Throws<UserInputException>(() => Run(Tofu()));
        Assert.Equal("a text\n", File.ReadAllText(_folder.At("result.json")));
    }

    [Fact]
    public void Reference_OfOtherData_IsRefused()
    {
        Run(Tofu("other") with { ForgetSplit = "forget01", Out = _folder.At("other.json") });
        Assert.Contains(
            "same --data",
            Assert.Throws<UserInputException>(() => Run(Tofu() with { Reference = _folder.At("other.json") })).Message,
            StringComparison.Ordinal
        );
    }

    [Fact]
    public void Cancelled_LeavesNoFile()
    {
        Assert.ThrowsAny<OperationCanceledException>(() =>
            EvaluateRun.Execute(Tofu(), SilentRunLog.Instance, TimeProvider.System, new CancellationToken(canceled: true))
        );
        Assert.False(File.Exists(_folder.At("result.json")));
    }
}
