using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Falcon.Evaluation.Metrics;
using Falcon.Evaluation.Suites;
using Falcon.Tests.Evaluation.Metrics;

namespace Falcon.Tests.Evaluation.Suites;

/// <summary>
/// Prompts, choices, windows and perplexities against the lm-evaluation-harness; trimming of generations against OpenUnlearning and MUSE.
/// </summary>
[Trait("Category", "Parity")]
[Trait("Parity", "true")]
public class HarnessParityTests
{
    public static TheoryData<string> Trimming() => MetricFixtures.Of("trimming");

    public static TheoryData<string> MultipleChoice() => MetricFixtures.Of("multiple choice");

    public static TheoryData<string> Perplexities() => MetricFixtures.Of("perplexity");

    public static TheoryData<string> Windows() => MetricFixtures.Of("windows");

    public static TheoryData<string> PageFiles() => MetricFixtures.Of("pages");

    public static TheoryData<string> Subjects() => MetricFixtures.Of("subjects");

    public static TheoryData<string> Prompts() => MetricFixtures.Of("prompts");

    [Theory(SkipTestWithoutData = true)]
    [MemberData(nameof(Trimming))]
    public void Trimming_Generations_AgreesWithPublishedCode(string file)
    {
        var root = MetricFixtures.Read(file);
        foreach (var one in root.GetProperty("open_unlearning").EnumerateArray())
            Assert.Equal(
                one.Text("trimmed"),
                GenerationTrimming.OpenUnlearning(one.Text("raw"), one.Text("eos_text"), one.GetProperty("stopwords").Strings())
            );
        foreach (var one in root.GetProperty("muse_knowmem").EnumerateArray())
            Assert.Equal(one.Text("prefix"), GenerationTrimming.CutAtEach(one.Text("raw"), one.GetProperty("words").Strings()));
    }

    [Theory(SkipTestWithoutData = true)]
    [MemberData(nameof(MultipleChoice))]
    public void MultipleChoiceScore_Documents_AgreeWithHarness(string file)
    {
        var root = MetricFixtures.Read(file);
        var scores = new List<MultipleChoiceScore>();
        foreach (var doc in root.GetProperty("docs").EnumerateArray())
        {
            var expected = doc.GetProperty("expected");
            double[] logLikelihoods = [.. doc.GetProperty("token_logprobs").EnumerateArray().Select(tokens => tokens.Doubles().Sum())];
            Assert.All(expected.GetProperty("loglikelihoods").Doubles().Zip(logLikelihoods), pair =>
                MetricFixtures.Close(pair.First, pair.Second, "log-likelihood")
            );
            var score = MultipleChoiceScore.Of(doc.GetProperty("choices").Strings(), logLikelihoods, doc.GetProperty("gold").GetInt32());
            Assert.Equal(
                (
                    expected.GetProperty("pred").GetInt32(),
                    expected.GetProperty("pred_norm").GetInt32(),
                    expected.GetProperty("pred_bytes").GetInt32()
                ),
                (score.Prediction, score.PredictionByCharacters, score.PredictionByBytes)
            );
            Assert.Equal(
                (expected.Number("acc"), expected.Number("acc_norm"), expected.Number("acc_bytes")),
                (score.Accuracy, score.AccuracyByCharacters, score.AccuracyByBytes)
            );
            scores.Add(score);
        }
        var aggregate = root.GetProperty("aggregate");
        foreach (
            var (name, value) in new (string, Func<MultipleChoiceScore, double>)[]
            {
                ("acc", one => one.Accuracy),
                ("acc_norm", one => one.AccuracyByCharacters),
                ("acc_bytes", one => one.AccuracyByBytes),
            }
        )
        {
            var mean = SampleMean.Of([.. scores.Select(value)]);
            MetricFixtures.Close(aggregate.Number(name), mean.Mean, name);
            MetricFixtures.Close(aggregate.Number($"{name}_stderr"), mean.StandardError!.Value, name);
        }
        var group = root.GetProperty("group");
        var tasks = group
            .GetProperty("subtasks")
            .EnumerateArray()
            .Select(task => (task.GetProperty("size").GetInt32(), task.Number("acc")))
            .ToArray();
        MetricFixtures.Close(group.Number("acc_weighted_by_size"), MultipleChoiceScore.GroupMean(tasks), "group");
    }

    [Theory(SkipTestWithoutData = true)]
    [MemberData(nameof(MultipleChoice))]
    public void ContinuationWindow_LongContextsAndSpaces_AgreeWithHarness(string file)
    {
        var root = MetricFixtures.Read(file);
        foreach (var one in root.GetProperty("truncation").GetProperty("cases").EnumerateArray())
        {
            int[] context = [.. Enumerable.Range(100, one.GetProperty("context_tokens").GetInt32())];
            int[] continuation = [.. Enumerable.Range(500, one.GetProperty("continuation_tokens").GetInt32())];
            var window = ContinuationWindow.Of(context, continuation, one.GetProperty("max_length").GetInt32());
            Assert.Equal(one.GetProperty("input").Integers(), window.Input);
            Assert.Equal(one.GetProperty("targets").Integers(), window.Targets);
            Assert.Equal(one.GetProperty("scored_logit_positions").Integers(), Enumerable.Range(window.FirstScored, window.Targets.Length));
        }
        foreach (var one in root.GetProperty("space_moving").EnumerateArray())
            Assert.Equal(
                (one.Text("context_encoded"), one.Text("continuation_encoded")),
                ContinuationWindow.MoveTrailingSpace(one.Text("context"), one.Text("continuation"))
            );
    }

    [Theory(SkipTestWithoutData = true)]
    [MemberData(nameof(Perplexities))]
    public void Perplexities_Pages_AgreeWithHarness(string file)
    {
        var root = MetricFixtures.Read(file);
        var pages = new List<PageLikelihood>();
        foreach (var doc in root.GetProperty("docs").EnumerateArray())
        {
            var page = PageLikelihood.Of(doc.Text("page"), doc.GetProperty("token_logprobs").Doubles().Sum());
            Assert.Equal(doc.Text("detokenized"), WikiTextDetokenizer.Detokenize(doc.Text("page")));
            MetricFixtures.Close(doc.Number("loglikelihood"), page.LogLikelihood, "log-likelihood");
            Assert.Equal((doc.GetProperty("words").GetInt32(), doc.GetProperty("bytes").GetInt32()), (page.Words, page.Bytes));
            pages.Add(page);
        }
        var expected = root.GetProperty("aggregate");
        var made = PerplexityAggregates.Of(pages);
        MetricFixtures.Close(expected.Number("word_perplexity"), made.WordPerplexity, "word_perplexity");
        MetricFixtures.Close(expected.Number("byte_perplexity"), made.BytePerplexity, "byte_perplexity");
        MetricFixtures.Close(expected.Number("bits_per_byte"), made.BitsPerByte, "bits_per_byte");
    }

    [Theory(SkipTestWithoutData = true)]
    [MemberData(nameof(Windows))]
    public void RollingWindows_Cases_AgreeWithHarness(string file)
    {
        var root = MetricFixtures.Read(file);
        foreach (var one in root.GetProperty("cases").EnumerateArray())
        {
            var windows = WindowsOf(one);
            var expected = one.GetProperty("windows").EnumerateArray().ToArray();
            Assert.Equal(expected.Length, windows.Length);
            foreach (var (window, wanted) in windows.Zip(expected))
            {
                Assert.Equal(wanted.GetProperty("input").Integers(), window.Input);
                Assert.Equal(wanted.GetProperty("predicted").Integers(), window.Targets);
                Assert.Equal(wanted.GetProperty("context").Integers(), window.Context);
            }
            MetricFixtures.Close(one.Number("loglikelihood"), MadeUpLikelihood(windows), "log-likelihood");
        }
        foreach (var one in root.GetProperty("large").EnumerateArray())
        {
            var windows = WindowsOf(one);
            Assert.Equal(one.GetProperty("n_windows").GetInt32(), windows.Length);
            Assert.Equal(one.GetProperty("context_sizes").Integers(), windows.Select(window => window.Context.Length));
            Assert.Equal(one.GetProperty("predicted_sizes").Integers(), windows.Select(window => window.Targets.Length));
            Assert.Equal(one.GetProperty("first_predicted").Integers(), windows.Select(window => window.Targets[0]));
            MetricFixtures.Close(one.Number("loglikelihood"), MadeUpLikelihood(windows), "log-likelihood");
        }
    }

    [Theory(SkipTestWithoutData = true)]
    [MemberData(nameof(PageFiles))]
    public void WikiText_RawFile_GivesTheHarnessPages(string file)
    {
        var root = MetricFixtures.Read(file);
        var pages = WikiTextDetokenizer.Pages(File.ReadAllText(Fixtures.SharedOrSkip("data", "wikitext2", "raw", "wiki.test.raw")));
        Assert.Equal(root.GetProperty("n_pages").GetInt32(), pages.Length);
        Assert.Equal(root.GetProperty("total_words").GetInt32(), pages.Sum(PageLikelihood.CountWords));
        Assert.Equal(root.GetProperty("total_bytes").GetInt32(), pages.Sum(Encoding.UTF8.GetByteCount));
        foreach (var expected in root.GetProperty("pages").EnumerateArray())
        {
            var page = pages[expected.GetProperty("page").GetInt32()];
            Assert.Contains(expected.Text("title"), page, StringComparison.Ordinal);
            Assert.Equal(
                (expected.GetProperty("words").GetInt32(), expected.GetProperty("bytes").GetInt32()),
                (PageLikelihood.CountWords(page), Encoding.UTF8.GetByteCount(page))
            );
            var plain = Encoding.UTF8.GetBytes(WikiTextDetokenizer.Detokenize(page));
            Assert.Equal(expected.GetProperty("detokenized_bytes").GetInt32(), plain.Length);
            Assert.Equal(expected.Text("sha256_detokenized"), Convert.ToHexStringLower(SHA256.HashData(plain)));
        }
    }

    [Theory(SkipTestWithoutData = true)]
    [MemberData(nameof(Prompts))]
    public void MultipleChoicePrompt_Cases_AgreeWithHarness(string file)
    {
        var skipped = 0;
        foreach (var one in MetricFixtures.Read(file).GetProperty("cases").EnumerateArray())
        {
            var (benchmark, subject) = one.Text("task").Split('_', 2) is [var first, var second]
                ? (first, second)
                : throw new NotSupportedException(one.Text("task"));
            string prompt;
            int gold;
            if (benchmark == "wmdp")
            {
                var doc = one.GetProperty("doc");
                gold = doc.GetProperty("answer").GetInt32();
                prompt = MultipleChoicePrompt.Wmdp(
                    subject,
                    new MultipleChoiceQuestion(doc.Text("question"), doc.GetProperty("choices").Strings(), gold)
                );
            }
            else
            {
                var folder = Path.Combine(Fixtures.RepositoryRoot, "..", "shared", "data", "mmlu");
                if (!Directory.Exists(folder))
                {
                    skipped++;
                    continue;
                }
                var question = Rows(Path.Combine(folder, "test", $"{subject}_test.csv"))[one.GetProperty("test_row").GetInt32()];
                var shots = Rows(Path.Combine(folder, "dev", $"{subject}_dev.csv"))[..one.GetProperty("num_fewshot").GetInt32()];
                gold = question.Answer;
                prompt = MultipleChoicePrompt.Mmlu(subject, question, shots);
            }
            Assert.Equal(one.Text("prompt"), prompt);
            Assert.Equal(one.GetProperty("gold").GetInt32(), gold);
            Assert.Equal(one.GetProperty("continuations").Strings(), MultipleChoicePrompt.Continuations);
        }
        if (skipped > 0) Assert.Skip($"{skipped} prompts need ../shared/data/mmlu, which is not on this machine");
    }

    [Theory(SkipTestWithoutData = true)]
    [MemberData(nameof(Subjects))]
    public void Mmlu_EverySubject_HasItsDescription(string file)
    {
        var question = new MultipleChoiceQuestion("Q", ["a", "b", "c", "d"], 0);
        foreach (var subject in MetricFixtures.Read(file).GetProperty("subjects").EnumerateObject())
        {
            var opening = $"The following are multiple choice questions (with answers) about {subject.Name.Replace('_', ' ')}.\n\nQ\n";
            Assert.StartsWith(opening, MultipleChoicePrompt.Mmlu(subject.Name, question, []), StringComparison.Ordinal);
        }
    }

    private static RollingWindow[] WindowsOf(JsonElement one) =>
        RollingWindows.Of(
            [.. Enumerable.Range(0, one.GetProperty("n_tokens").GetInt32())],
            prefixToken: -1,
            one.GetProperty("max_length").GetInt32(),
            one.GetProperty("context_len").GetInt32()
        );

    /// <summary>
    /// The fixture's model: log p = -(1 + 0.1·(token mod 7) + 1/seen), seen = input tokens up to the predicting position.
    /// </summary>
    private static double MadeUpLikelihood(RollingWindow[] windows) =>
        windows.Sum(window => window.Targets.Select((token, i) => -(1 + (0.1 * (token % 7)) + (1.0 / (window.Context.Length + i)))).Sum());

    /// <summary>Rows of an MMLU file: a header, then question, four choices and the index of the right one, with quoted fields.</summary>
    private static MultipleChoiceQuestion[] Rows(string file)
    {
        var rows = new List<MultipleChoiceQuestion>();
        var fields = new List<string>();
        var field = new StringBuilder();
        var quoted = false;
        var text = File.ReadAllText(file).Replace("\r\n", "\n", StringComparison.Ordinal);
        for (var i = text.IndexOf('\n', StringComparison.Ordinal) + 1; i < text.Length; i++)
        {
            if (quoted && text[i] == '"' && i + 1 < text.Length && text[i + 1] == '"') field.Append(text[i++]);
            else if (text[i] == '"') quoted = !quoted;
            else if (quoted || text[i] is not (',' or '\n')) field.Append(text[i]);
            else
            {
                fields.Add(field.ToString());
                field.Clear();
                if (text[i] == ',') continue;
                rows.Add(new MultipleChoiceQuestion(fields[0], fields[1..5], int.Parse(fields[5], CultureInfo.InvariantCulture)));
                fields.Clear();
            }
        }
        return [.. rows];
    }
}
