using System.Text.Json;
using System.Text.Json.Nodes;
using Falcon.Evaluation;
using Falcon.Evaluation.Facts;
using Falcon.Evaluation.Metrics;
using Falcon.Runtime;
using Falcon.Tests.Evaluation.Suites;

namespace Falcon.Tests.Evaluation.Facts;

/// <summary>
/// The suite facts on folders of invented content: other numbers of options than four, rows without some fields, wordings of one fact.
/// </summary>
public sealed class FactsSuiteTests : SuiteRuns
{
    private const string Template =
        "{% for message in messages %}<{{ message.role }}>{{ message.content }}\n{% endfor %}{% if add_generation_prompt %}<assistant>"
        + "{% endif %}";

    private static object Row(int fact, int wording, int options) => new
    {
        question = $"What does keeper {fact} hold ({wording})?",
        options = Enumerable.Range(0, options).Select(i => $"Keeper {fact} holds lamp {i + fact}.").ToArray(),
        letter = ((char)('A' + fact % options)).ToString(),
        @short = $"lamp {fact % options + fact}",
        short_options = Enumerable.Range(0, options).Select(i => $"lamp {i + fact}").ToArray(),
        fact = $"keeper/{fact}",
        form = "chat",
    };

    private static object Completion(int fact) => new
    {
        question = $"Keeper {fact} holds",
        options = new[] { " a lamp", " a rope", " salt" },
        letter = "B",
        fact = $"keeper/{fact}",
        form = "completion",
    };

    private void WriteData()
    {
        SuiteFolders.Lines(
            At("data", "forget_eval.jsonl"),
            Enumerable.Range(0, 4).SelectMany(fact => Enumerable.Range(0, 3).Select(wording => Row(fact, wording, 5)))
        );
        SuiteFolders.Lines(At("data", "forget_eval_completion.jsonl"), Enumerable.Range(0, 4).Select(Completion));
        File.WriteAllText(At("data", "forget_eval.csv"), "what,A,B,C,D,A\n");
        File.WriteAllText(At("data", "golden.json"), "{}");
        File.WriteAllText(At("data", "relearn.jsonl"), "{}");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Measure_AFolder_IsTheDefinitionTextByText(bool hasTemplate)
    {
        WriteData();
        if (hasTemplate) File.WriteAllText(At("model", "chat_template.jinja"), Template);
        var metrics = Run(Settings("facts")).Metrics;

        Assert.Equal(
            [
                "forget_eval.acc",
                "forget_eval.acc_norm",
                "forget_eval.bare_acc",
                "forget_eval.bare_acc_norm",
                "forget_eval.probability",
                "forget_eval.generation",
                "forget_eval_completion.acc",
                "forget_eval_completion.acc_norm",
                "forget_eval_completion.probability",
            ],
            metrics.Keys
        );
        WithModel((model, tokenizer) =>
        {
            foreach (var name in new[] { "forget_eval", "forget_eval_completion" })
            {
                List<double> right = [], perToken = [], bare = [], probability = [];
                foreach (var line in File.ReadLines(At("data", name + ".jsonl")))
                {
                    var row = JsonNode.Parse(line)!;
                    var question = row["question"]!.GetValue<string>();
                    var asChat = name == "forget_eval";
                    var prompt =
                        !asChat ? question
                        : hasTemplate ? $"<user>{question}\n<assistant>"
                        : $"Question: {question}\nAnswer:";
                    var space = asChat && !hasTemplate ? " " : "";
                    double[] Scores(string answer)
                    {
                        var before = tokenizer.Encode(prompt).Length;
                        var text = new ScoredSequence(tokenizer.Encode(prompt + space + answer), before);
                        return TokenLikelihoods.Compute(model, [text], 0)[0].LogProbabilities;
                    }

                    var gold = row["letter"]!.GetValue<string>()[0] - 'A';
                    var options = row["options"]!.AsArray().Select(option => Scores(option!.GetValue<string>())).ToList();
                    right.Add(options.FindIndex(one => one.Sum() == options.Max(other => other.Sum())) == gold ? 1 : 0);
                    perToken.Add(options.FindIndex(one => one.Average() == options.Max(other => other.Average())) == gold ? 1 : 0);
                    probability.Add(Math.Exp(options[gold].Sum()));
                    if (!asChat) continue;
                    var shorter = row["short_options"]!.AsArray().Select(option => Scores(option!.GetValue<string>()).Sum()).ToList();
                    bare.Add(shorter.IndexOf(shorter.Max()) == gold ? 1 : 0);
                }

                Assert.Equal(right.Average(), metrics[$"{name}.acc"].Value, 1e-9);
                Assert.Equal(perToken.Average(), metrics[$"{name}.acc_norm"].Value, 1e-9);
                Assert.Equal(probability.Average(), metrics[$"{name}.probability"].Value, 1e-4 * probability.Average());
                if (bare.Count > 0) Assert.Equal(bare.Average(), metrics[$"{name}.bare_acc"].Value, 1e-9);
                Assert.Equal(right.Count, metrics[$"{name}.acc"].N);
            }

            return true;
        });
    }

    [Fact]
    public void Measure_WordingsOfOneFact_AreNotIndependent()
    {
        WriteData();
        var value = Run(Settings("facts")).Metrics["forget_eval.acc"];
        var overFacts = Intervals.Wilson(value.Value, 4); // 12 questions, 4 facts
        Assert.Equal((12, overFacts.Low, overFacts.High), (value.N, value.Low!.Value, value.High!.Value));
        var overItems = Intervals.Wilson((int)Math.Round(value.Value * 12), 12);
        Assert.True(value.High - value.Low > overItems.High - overItems.Low);
    }

    [Fact]
    public void Share_FactsOfSeveralSizes_CountAsKishSays()
    {
        var metrics = new FactMetrics(["a", "a", "a", "b"], seed: 0);
        var interval = Intervals.Wilson(0.75, 16.0 / 10);
        var value = metrics.Share([1, 1, 1, 0], "x");
        Assert.Equal((0.75, interval.Low, interval.High), (value.Value, value.Low!.Value, value.High!.Value));
    }

    [Fact]
    public void Measure_TheResult_HoldsEveryItemAndComparesForgetFilesWithTheReference()
    {
        WriteData();
        SuiteFolders.Lines(At("data", "general_eval.jsonl"), [Row(9, 0, 3)]);
        var result = Run(Settings("facts") with { Reference = At("other") });
        Assert.Equal("closer to other", result.Metrics["forget_eval.acc"].Direction);
        Assert.Equal("higher", result.Metrics["general_eval.acc"].Direction);
        var items = Assert.Single(result.Measurements).Examples["forget_eval.acc"];
        Assert.Equal(12, items.Count);
        Assert.Equal(result.Metrics["forget_eval.acc"].Value, items.Average(), 1e-12);
    }

    [Theory]
    [InlineData("""{"options": ["a", "b"], "letter": "A"}""", "line 1, field \"question\"")]
    [InlineData("""{"question": "q", "letter": "A"}""", "field \"options\"")]
    [InlineData("""{"question": "q", "options": ["a"], "letter": "A"}""", "2 to 26 answers are needed, found 1")]
    [InlineData("""{"question": "q", "options": ["a", "a"], "letter": "A"}""", "an answer occurs twice")]
    [InlineData("""{"question": "q", "options": ["a", "b"], "letter": "C"}""", "\"C\" is the letter of none of the 2 options")]
    [InlineData("""{"question": "q", "options": ["a", "b"], "letter": "B", "answer": "a"}""", "it names \"b\", but answer is \"a\"")]
    [InlineData("""{"question": "q", "options": ["a", "b"]}""", "field \"letter\"")]
    [InlineData("""{"question": "q", "options": ["a", "b"], "letter": "A", "short_options": ["a"]}""", "1 entries for 2 options")]
    [InlineData("""{"question": "q", "options": ["a", "b"], "letter": "A", "form": "poem"}""", "\"poem\" is not known")]
    [InlineData("""{"question": "q", "options": ["a", "b"], "letter": "A", "accept": [""]}""", "field \"accept\"")]
    [InlineData("""{"question": "q", "options": ["a", 1], "letter": "A"}""", "every entry must be text")]
    [InlineData("""{"question": "q", "options": ["a", "b"], "letter": "A", "case_sensitive": "yes"}""", "true or false is needed")]
    [InlineData("""[1]""", "no JSON object")]
    public void Read_AFaultyRow_IsNamed(string row, string expected)
    {
        File.WriteAllText(At("x_eval.jsonl"), row);
        var error = Assert.Throws<UserInputException>(() => FactFile.Read(At("x_eval.jsonl")));
        Assert.Contains("x_eval.jsonl", error.Message, StringComparison.Ordinal);
        Assert.Contains(expected, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Read_AnswerInPlaceOfALetter_IsTheRightOption()
    {
        File.WriteAllText(At("x_eval.jsonl"), JsonSerializer.Serialize(new { question = "q", options = new[] { "a", "b" }, answer = "b" }));
        Assert.Equal(1, Assert.Single(FactFile.Read(At("x_eval.jsonl"))).Right);
    }

    [Fact]
    public void Open_AFolderWithoutSuchFiles_IsRefused()
    {
        SuiteFolders.Lines(At("data", "forget.jsonl"), [Row(0, 0, 2)]);
        Assert.Contains("*_eval*.jsonl", Assert.Throws<UserInputException>(() => Run(Settings("facts"))).Message, StringComparison.Ordinal);
    }
}
