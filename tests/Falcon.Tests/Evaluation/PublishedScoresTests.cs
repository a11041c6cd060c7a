using System.Text.Json;
using Falcon.Checkpoints;
using Falcon.Data;
using Falcon.Evaluation;
using Falcon.Evaluation.Facts;
using Falcon.Evaluation.Suites;
using Falcon.Models;
using Falcon.Models.Generation;
using Falcon.Runs.Evaluating;
using Falcon.Runtime;
using Falcon.Tests.Exchange.Gguf;
using Falcon.Tokenization;
using static TorchSharp.torch;

namespace Falcon.Tests.Evaluation;

/// <summary>
/// What a published instruct model scores: log-probabilities of texts, multiple choice and perplexity as the lm-evaluation-harness measures
/// them, and its knowledge of the subjects in <c>../shared/data/world</c> or the folder that FALCON_WORLD names. A few minutes of work are
/// left out unless FALCON_PARITY is <c>all</c>.
/// </summary>
[Trait("Category", "Parity")]
public sealed class PublishedScoresTests(PublishedModelTests.Imported imported) : IClassFixture<PublishedModelTests.Imported>
{
    private const double LogitTolerance = 2e-3,
        LogProbabilityTolerance = 1e-3,
        ChoiceTolerance = 2e-3;

    private static bool All => Environment.GetEnvironmentVariable("FALCON_PARITY") == "all";

    [Fact]
    public void Logprobs_EveryText_AreThoseOfTheLibrary()
    {
        var model = imported.Directory();
        var texts = imported.Golden("texts.json").EnumerateObject().ToList();
        using var folder = new TemporaryFolder();
        File.WriteAllLines(
            folder.At("texts.jsonl"),
            texts.Select(text => JsonSerializer.Serialize(new { text = text.Value.GetProperty("text").GetString() }))
        );
        var settings = new LogprobsSettings(model, folder.At("texts.jsonl"), folder.At("out.safetensors")) { Logits = LogitsKept.Last };
        var record = LogprobsRun.Execute(settings, RunContext.Quiet);

        using var scope = NewDisposeScope();
        var golden = new FixtureTensors(imported.GoldenPath("logits.safetensors"));
        var written = new FixtureTensors(settings.Out);
        for (var i = 0; i < texts.Count; i++)
        {
            var ids = texts[i].Value.GetProperty("ids").EnumerateArray().Select(id => id.GetInt64());
            Assert.Equal(ids, written[$"input_ids_{i}"].data<long>().ToArray());
            GoldenCases.Close(golden[texts[i].Name + ".logits_last"], written[$"logits_{i}"], LogitTolerance, texts[i].Name);
            GoldenCases.Close(
                golden[texts[i].Name + ".next_logprob"],
                written[$"token_logprob_{i}"],
                LogProbabilityTolerance,
                texts[i].Name
            );
        }

        var sum = texts.Sum(text => text.Value.GetProperty("sum_logprob").GetDouble());
        Assert.Equal(sum, record.LogLikelihood, 1e-5 * Math.Abs(sum));
    }

    public static TheoryData<string, string> Subjects()
    {
        var file = PublishedModelTests.Imported.FolderOrNull() is { } folder ? Path.Combine(folder, "golden", "lm_eval.json") : "";
        return File.Exists(file)
            ? Named(JsonDocument.Parse(File.ReadAllBytes(file)).RootElement.GetProperty("mmlu"))
            : new() { { "", "" } };

        static TheoryData<string, string> Named(JsonElement forms)
        {
            TheoryData<string, string> subjects = [];
            foreach (var form in forms.EnumerateObject())
                foreach (var subject in form.Value.EnumerateObject()) subjects.Add(form.Name, subject.Name);
            return subjects;
        }
    }

    [Theory]
    [MemberData(nameof(Subjects))]
    public void MultipleChoice_Mmlu_IsThatOfTheHarness(string form, string subject)
    {
        var subjects = imported.Golden("lm_eval.json").GetProperty("mmlu").GetProperty(form).EnumerateObject().ToList();
        Assert.SkipUnless(All || subject == subjects[0].Name, "FALCON_PARITY=all runs every subject");
        var golden = subjects.Single(one => one.Name == subject).Value;
        var asked = new PromptForm { Kind = form.StartsWith("chat", StringComparison.Ordinal) ? FormKind.Chat : FormKind.Plain };
        double[][] wanted = [.. golden.GetProperty("loglikelihoods").EnumerateArray().Select(Numbers)];
        var file = Fixtures.SharedOrSkip("data", "mmlu", "test", $"{subject}_test.csv");
        List<HarnessQuestion> questions =
        [
            .. LetterQuestions
                .Read(file)
                .Take(wanted.Length)
                .Select(question => new HarnessQuestion(subject, MultipleChoicePrompt.AskedMmlu(subject, question, []), null, question)),
        ];
        WithModel(loaded =>
        {
            var scores = loaded.Score(
                HarnessChoices.Sequences(questions, new PromptEncoder(loaded.Tokenizer, asked), loaded.Model.Config.MaxPositions),
                "mmlu",
                SilentRunLog.Instance,
                TestContext.Current.CancellationToken
            );
            double[] sums = [.. scores.Select(score => score.LogProbabilities.Sum())];
            Assert.All(wanted.SelectMany(item => item).Zip(sums), pair => Assert.Equal(pair.First, pair.Second, ChoiceTolerance));
            var verdicts = HarnessChoices.Judge(questions, scores);
            Assert.Equal(golden.GetProperty("accuracy").GetDouble(), verdicts.Average(verdict => verdict.Letter.Accuracy), 1e-12);
        });
    }

    [Fact]
    public void Perplexity_OfWikiText_IsThatOfTheHarness()
    {
        const int MaxLength = 2048;
        var golden = imported.Golden("lm_eval.json").GetProperty("wikitext");
        var wanted = golden.GetProperty("page_loglikelihoods").EnumerateArray().Select(Likelihood).ToList();
        var words = Numbers(golden.GetProperty("words"));
        var file = Fixtures.SharedOrSkip("data", "wikitext2", "raw", "wiki.test.raw");
        var count = All ? wanted.Count : 1;
        List<(string Scored, string Counted)> pages =
        [
            .. WikiTextDetokenizer.Pages(File.ReadAllText(file)).Take(count).Select(page => (WikiTextDetokenizer.Detokenize(page), page)),
        ];
        WithModel(loaded =>
        {
            var values = TextPerplexity.Measure(
                loaded,
                pages,
                MaxLength,
                seed: 0,
                SilentRunLog.Instance,
                TestContext.Current.CancellationToken
            );
            Assert.Equal(-wanted.Take(count).Sum() / words.Take(count).Sum(), Math.Log(values.Word.Value), 1e-4);
            if (!All) return;
            Assert.Equal(1, values.Word.Value / golden.GetProperty("word_perplexity").GetDouble(), 1e-4);
            Assert.Equal(golden.GetProperty("bits_per_byte").GetDouble(), values.BitsPerByte.Value, 1e-4);
        });

        static double Likelihood(JsonElement value) => double.Parse(value.GetString()!, System.Globalization.CultureInfo.InvariantCulture);
    }

    public static TheoryData<string, string> FactFiles()
    {
        TheoryData<string, string> files = [];
        foreach (var subject in World.Subjects())
            foreach (var file in World.Golden(subject).GetProperty("files").EnumerateObject())
                files.Add(subject, file.Name);
        if (files.Count == 0) files.Add("", "");
        return files;
    }

    [Theory]
    [MemberData(nameof(FactFiles))]
    public void Facts_EveryFile_GivesTheGoldenScores(string subject, string file)
    {
        var path = World.FileOrSkip(subject, file);
        var isShort = subject == World.Subjects()[0] && file == "forget_eval_completion";
        Assert.SkipUnless(All || isShort, "FALCON_PARITY=all runs every file of every subject");
        var golden = World.Golden(subject).GetProperty("files").GetProperty(file).GetProperty("all");
        WithModel(loaded =>
        {
            var settings = new EvaluationSettings(imported.Directory(), ["facts"], path, null, "");
            var metrics = FactsSuite.Open(settings).Measure(loaded, SilentRunLog.Instance, TestContext.Current.CancellationToken).Metrics;

            void Within(int items, string metric, JsonElement wanted) =>
                Assert.InRange(
                    Math.Round(metrics[$"{file}.{metric}"].Value * metrics[$"{file}.{metric}"].N) - wanted.GetProperty("right").GetInt32(),
                    -items,
                    items
                );
            var sentence = golden.GetProperty("sentence");
            Within(1, "acc", sentence.GetProperty("forced_choice_sum"));
            Within(1, "acc_norm", sentence.GetProperty("forced_choice_norm"));
            if (golden.TryGetProperty("short", out var bare))
            {
                Within(1, "bare_acc", bare.GetProperty("forced_choice_sum"));
                Within(1, "bare_acc_norm", bare.GetProperty("forced_choice_norm"));
            }

            Within(2, "generation", golden.GetProperty("generation"));
            Assert.Equal(1, metrics[$"{file}.probability"].Value / sentence.GetProperty("mean_p_right").GetDouble(), 5e-3);
        });
    }

    [Fact]
    public void Facts_TheFirstItems_HaveTheGoldenLikelihoodsAndAnswers()
    {
        if (World.Subjects() is not [var subject, ..])
        {
            Assert.Skip("no subject folder of facts is on this machine");
            return;
        }

        const string File = "forget_eval";
        var golden = World.Golden(subject).GetProperty("files").GetProperty(File).GetProperty("first20").EnumerateArray().ToList();
        List<FactQuestion> questions = [.. FactFile.Read(World.FileOrSkip(subject, File)).Take(golden.Count)];
        WithModel(loaded =>
        {
            var form = new PromptEncoder(loaded.Tokenizer, new PromptForm());
            List<FactPrompt> prompts = [.. questions.Select(question => FactPrompt.Of(form, question))];
            var scores = SharedPrompts.ScoreAll(
                loaded,
                [.. questions.Zip(prompts, FactsSuite.Answers)],
                "facts",
                SilentRunLog.Instance,
                TestContext.Current.CancellationToken
            );
            var answers = loaded.Answer(
                [.. prompts.Select(prompt => prompt.Tokens)],
                new GenerationSettings(16),
                "facts",
                SilentRunLog.Instance,
                TestContext.Current.CancellationToken
            );
            var same = 0;
            for (var i = 0; i < golden.Count; i++)
            {
                Assert.Equal(golden[i].GetProperty("question").GetString(), questions[i].Question);
                double[] wanted = [.. Numbers(golden[i].GetProperty("sum")), .. Numbers(golden[i].GetProperty("short_sum"))];
                double[] tokens = [.. Numbers(golden[i].GetProperty("ntok")), .. Numbers(golden[i].GetProperty("short_ntok"))];
                Assert.Equal(tokens, scores[i].Select(score => (double)score.LogProbabilities.Length));
                Assert.All(wanted.Zip(scores[i]), pair => Assert.Equal(pair.First, pair.Second.LogProbabilities.Sum(), ChoiceTolerance));
                if (golden[i].GetProperty("generated").GetString() == loaded.Tokenizer.Decode(answers[i], skipSpecialTokens: true)) same++;
            }

            Assert.InRange(same, golden.Count - 1, golden.Count); // two tokens may be as good
        });
    }

    private void WithModel(Action<LoadedModel> ask)
    {
        using var checkpoint = Checkpoint.Open(imported.Directory());
        using var weights = checkpoint.LoadWeights(float32, CPU);
        ask(new LoadedModel(new CausalLM(checkpoint.Config, weights), HfTokenizer.Load(imported.Directory())));
    }

    private static double[] Numbers(JsonElement list) => [.. list.EnumerateArray().Select(value => value.GetDouble())];

    /// <summary>The subject folders: those of FALCON_WORLD, else those of the shared data.</summary>
    private static class World
    {
        private static readonly string Root =
            Environment.GetEnvironmentVariable("FALCON_WORLD") is { Length: > 0 } named
                ? named
                : Path.Combine(Fixtures.RepositoryRoot, "..", "shared", "data", "world");

        public static string[] Subjects() =>
            Directory.Exists(Root)
                ?
                [
                    .. Directory
                        .EnumerateDirectories(Root)
                        .Where(folder => File.Exists(Path.Combine(folder, "golden.json")))
                        .Select(folder => Path.GetFileName(folder))
                        .Order(StringComparer.Ordinal),
                ]
                : [];

        public static JsonElement Golden(string subject) =>
            JsonDocument.Parse(File.ReadAllBytes(Path.Combine(Root, subject, "golden.json"))).RootElement;

        public static string FileOrSkip(string subject, string file)
        {
            Assert.SkipWhen(subject.Length == 0, "no subject folder of facts is on this machine");
            return Path.Combine(Root, subject, file + ".jsonl");
        }
    }
}
