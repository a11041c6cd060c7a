using Falcon.Checkpoints;
using Falcon.Data;
using Falcon.Evaluation;
using Falcon.Evaluation.Metrics;
using Falcon.Evaluation.Suites;
using Falcon.Models;
using Falcon.Tokenization;
using TorchSharp;

namespace Falcon.Tests.Evaluation.Metrics;

public sealed class QuestionMetricsTests : IDisposable
{
    private static readonly CorpusRecord[] Records =
    [
        new("Where is the harbour?", "In the north of the island.", null, 1)
        {
            ParaphrasedAnswer = "North.",
            PerturbedAnswers = ["In the south.", "On a hill far away from the sea.", "East"],
        },
        new("Who wrote it?", "Nobody knows", null, 2) { PerturbedAnswers = ["A sailor", "The king and his brother", "x"] },
    ];

    private readonly TemporaryFolder _folder = new();
    private readonly Weights _weights;
    private readonly CausalLM _model;
    private readonly HfTokenizer _tokenizer;

    public QuestionMetricsTests()
    {
        var directory = TinyModel.Write(_folder.At("model"), seed: 1);
        (_weights, _model) = Checkpoint.LoadModel(directory, torch.float32, torch.CPU);
        _tokenizer = HfTokenizer.Load(directory);
    }

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public void Dispose()
    {
        _weights.Dispose();
        _folder.Dispose();
    }

    [Fact]
    public void AnswerProbability_IsThatOfEveryAnswerScoredAlone()
    {
        var template = new PromptTemplate();
        var expected = Records.Average(record =>
            Math.Exp(Alone(template.Prompt(record), template.Completion(record)).Average(token => token.LogProbability))
        );
        var scores = QuestionMetrics.Scores(_model, PromptEncoder.Plain(_tokenizer), Records, cancellation: Cancellation);
        var value = QuestionMetrics.AnswerProbability(scores);
        Assert.Equal(expected, value.Value, 1e-5 * expected);
        Assert.Equal(2, value.N);
        Assert.InRange(value.Value, value.Low!.Value, value.High!.Value);
        Assert.Equal(
            Alone(template.Prompt(Records[0]), template.Completion(Records[0])).Select(token => token.IsHit),
            scores[0].AnswerHits
        );
    }

    [Fact]
    public void MultipleChoice_IsTheLargestMeanOfAnswersScoredAlone()
    {
        var template = new PromptTemplate();
        double Mean(CorpusRecord record, string answer) =>
            Alone(template.Prompt(record), template.Completion(answer)).Average(token => token.LogProbability);
        var expected = Records.Average(record =>
            record.PerturbedAnswers.All(wrong => Mean(record, wrong) < Mean(record, record.Answer!)) ? 1.0 : 0.0
        );
        var scores = QuestionMetrics.Scores(_model, PromptEncoder.Plain(_tokenizer), Records, cancellation: Cancellation);
        Assert.Equal(expected, QuestionMetrics.MultipleChoice(scores).Value);
        Assert.Equal(Mean(Records[0], "North."), scores[0].Paraphrase!.Average(), 1e-5);
        Assert.Null(scores[1].Paraphrase);
    }

    [Fact]
    public void RougeL_IsThatOfTheMostLikelyTokenEachTime()
    {
        const int tokens = 6;
        var template = new PromptTemplate();
        var expected = Records.Average(record =>
            Rouge.LongestCommonSubsequence(record.Answer!, Greedy(template.Prompt(record), tokens), stem: true).Recall
        );
        var value = QuestionMetrics.RougeL(
            _model,
            PromptEncoder.Plain(_tokenizer),
            Records,
            new QuestionSettings(MaxNewTokens: tokens),
            cancellation: Cancellation
        );
        Assert.Equal(expected, value.Value);
        Assert.Equal(
            [Greedy(template.Prompt(Records[0]), tokens)],
            GreedyAnswers.Generate(
                _model,
                PromptEncoder.Plain(_tokenizer),
                [_tokenizer.Encode(template.Prompt(Records[0]))],
                tokens,
                cancellation: Cancellation
            )
        );
    }

    [Fact]
    public void Perplexity_IsThatOfEveryWindowScoredAlone()
    {
        // Longer than one window of 16 tokens; words and bytes counted by hand: "aa bb" has 2 words and 5 bytes.
        string[] texts = [string.Concat(Enumerable.Repeat("the ship is in the harbour and ", 5)), "aa bb"];
        var (sum, tokens) = (0.0, 0);
        foreach (var text in texts)
            foreach (var window in RollingWindows.Of(_tokenizer.Encode(text), _tokenizer.EosId!.Value, 16))
            {
                sum += Alone([.. window.Input, window.Targets[^1]], window.Input.Length + 1 - window.Targets.Length)
                    .Sum(token => token.LogProbability);
                tokens += window.Targets.Length;
            }

        var values = TextPerplexity.Measure(_model, _tokenizer, texts, maxLength: 16, cancellation: Cancellation);
        Assert.Equal(Math.Exp(-sum / tokens), values.Token.Value, 1e-3);
        Assert.Equal(-sum / (155 + 5) / Math.Log(2), values.BitsPerByte.Value, 1e-5);
        // 35 words, and the empty piece after the last space, which the harness counts.
        Assert.Equal(sum, -Math.Log(values.Word.Value) * (36 + 2), 1e-3);
    }

    [Fact]
    public void EvenlySpaced_StartsAtTheFirstAndKeepsTheStep() =>
        Assert.Equal([0, 2, 5, 7], QuestionMetrics.EvenlySpaced([.. Enumerable.Range(0, 10)], 4));

    [Fact]
    public void Measure_LeavesNoTensor() => TensorLeaks.Check(0, _ =>
        {
            var values = QuestionMetrics.Measure(
                _model,
                PromptEncoder.Plain(_tokenizer),
                Records,
                new QuestionSettings(MaxNewTokens: 3),
                cancellation: Cancellation
            );
            Assert.NotNull(values.MultipleChoice);
            TextPerplexity.Measure(_model, _tokenizer, ["one text"], cancellation: Cancellation);
        });

    [Fact]
    public void Scores_Cancelled_Stops() =>
        Assert.Throws<OperationCanceledException>(() =>
            QuestionMetrics.Scores(_model, PromptEncoder.Plain(_tokenizer), Records, cancellation: new CancellationToken(canceled: true))
        );

    private TokenStatistics[] Alone(string prompt, string completion) =>
        Alone([.. _tokenizer.Encode(prompt + completion), _tokenizer.EosId!.Value], _tokenizer.Encode(prompt).Length);

    /// <summary>One sequence by itself, through the logits of all positions, in double precision.</summary>
    private TokenStatistics[] Alone(int[] tokens, int start)
    {
        var logits = Logits(tokens);
        return [.. Enumerable.Range(start, tokens.Length - start).Select(t => TokenStatistics.FromLogits(logits[t - 1], tokens[t]))];
    }

    private double[][] Logits(int[] tokens)
    {
        using var noGrad = torch.no_grad();
        using var scope = torch.NewDisposeScope();
        using var context = _model.Causal(tokens.Length);
        var flat = _model
            .Logits(torch.tensor(tokens.Select(token => (long)token).ToArray()).unsqueeze(0), context)
            .squeeze(0)
            .to(torch.float64)
            .data<double>()
            .ToArray();
        return [.. flat.Chunk(_model.Config.VocabularySize)];
    }

    private string Greedy(string prompt, int count)
    {
        List<int> tokens = [.. _tokenizer.Encode(prompt)];
        var start = tokens.Count;
        for (var i = 0; i < count; i++)
        {
            var last = Logits([.. tokens])[^1];
            var best = Array.IndexOf(last, last.Max());
            if (best == _tokenizer.EosId) break;
            tokens.Add(best);
        }

        return _tokenizer.Decode(tokens[start..], skipSpecialTokens: true).Trim();
    }
}
