using System.Text.Json;
using Falcon.Checkpoints;
using Falcon.Evaluation;
using Falcon.Models;
using Falcon.Runs.Evaluating;
using Falcon.Runtime;
using Falcon.Tests.Cli;
using Falcon.Tokenization;
using static TorchSharp.torch;

namespace Falcon.Tests.Runs.Evaluating;

/// <summary>The verb logprobs: what it writes, for texts and for token ids, and what it refuses.</summary>
public sealed class LogprobsRunTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly string _model;

    public LogprobsRunTests() => _model = TinyModel.Write(_folder.At("model"), seed: 1);

    public void Dispose() => _folder.Dispose();

    private LogprobsSettings Settings(params string[] lines)
    {
        File.WriteAllLines(_folder.At("texts.jsonl"), lines);
        return new LogprobsSettings(_model, _folder.At("texts.jsonl"), _folder.At("new", "out.safetensors"));
    }

    [Theory]
    [InlineData(LogitsKept.None)]
    [InlineData(LogitsKept.Last)]
    [InlineData(LogitsKept.All)]
    public void Execute_TextsAndIds_WritesWhatAPassOverEachGives(LogitsKept kept)
    {
        var settings = Settings(
            """{"text": "The lamp is lit."}""",
            """{"input_ids": [5, 9, 300, 17, 3]}""",
            """{"input_ids": [8]}""",
            """{"text": "x"}"""
        ) with
        { Logits = kept };
        var record = LogprobsRun.Execute(settings, RunContext.Quiet);

        using var scope = NewDisposeScope();
        var written = new FixtureTensors(settings.Out);
        var tokenizer = HfTokenizer.Load(_model);
        int[][] texts = [tokenizer.Encode("The lamp is lit."), [5, 9, 300, 17, 3], [8], tokenizer.Encode("x")];
        var (weights, model) = Checkpoint.LoadModel(_model, float32, CPU);
        using var owned = weights;
        using var guard = no_grad();
        var sum = 0.0;
        for (var i = 0; i < texts.Length; i++)
        {
            Assert.Equal(texts[i], written[$"input_ids_{i}"].data<long>().ToArray().Select(id => (int)id));
            var batch = new TokenBatch([texts[i]], 0);
            using var context = batch.Context(model);
            var logits = model.Logits(batch.InputIds(CPU), context)[0];
            var all = logits.log_softmax(-1);
            var expected = Enumerable.Range(1, texts[i].Length - 1).Select(t => all[t - 1, texts[i][t]].item<float>()).ToArray();
            var actual = written[$"token_logprob_{i}"].data<float>().ToArray();
            Assert.Equal(expected.Length, actual.Length);
            Assert.All(expected.Zip(actual), pair => Assert.Equal(pair.First, pair.Second, 1e-4f));
            sum += actual.Sum(value => (double)value);
            Assert.Equal(kept != LogitsKept.None, written.Has($"logits_{i}"));
            if (kept == LogitsKept.Last) GoldenCases.Close(logits[-1], written[$"logits_{i}"], 1e-4, "last");
            if (kept == LogitsKept.All) GoldenCases.Close(logits, written[$"logits_{i}"], 1e-4, "all");
        }

        Assert.Equal((4, texts.Sum(text => (long)text.Length)), (record.Texts, record.Tokens));
        Assert.Equal(sum, record.LogLikelihood, 1e-9);
        Assert.Equal(ContentHash.OfFile(settings.Out), record.Sha256);
    }

    [Fact]
    public void Execute_LayerByLayer_WritesTheSameBytes()
    {
        var settings = Settings([.. Enumerable.Range(2, 20).Select(i => JsonSerializer.Serialize(new { text = new string('a', i) }))]) with
        {
            Logits = LogitsKept.All,
        };
        LogprobsRun.Execute(settings, RunContext.Quiet);
        var whole = File.ReadAllBytes(settings.Out);
        LogprobsRun.Execute(settings, RunContext.Quiet with { MemoryLimit = 1 });
        Assert.Equal(whole, File.ReadAllBytes(settings.Out));
    }

    [Fact]
    public void Execute_IdsWithoutATokenizer_NeedsNone()
    {
        var settings = Settings("""{"input_ids": [5, 9, 300]}""");
        File.Delete(Path.Combine(_model, "tokenizer.json"));
        Assert.Equal(3, LogprobsRun.Execute(settings, RunContext.Quiet).Tokens);
        Assert.Contains(
            "tokenizer.json",
            Assert.Throws<UserInputException>(() => LogprobsRun.Execute(Settings("""{"text": "a"}"""), RunContext.Quiet)).Message,
            StringComparison.Ordinal
        );
    }

    [Theory]
    [InlineData("""{"question": "a", "answer": "b"}""", "line 2: it is a question or a conversation")]
    [InlineData("""{"input_ids": []}""", "line 2, field \"input_ids\": the list is empty")]
    [InlineData("""{"input_ids": [1, -3]}""", "entry 2 is -3")]
    [InlineData("""{"input_ids": [1, 602]}""", "line 2, field \"input_ids\": 602 is no token of this model")]
    [InlineData("""{"input_ids": [1, 2.5]}""", "entry 2 is 2.5")]
    [InlineData("""{"input_ids": "1 2"}""", "a list of whole numbers is needed")]
    [InlineData("""{"input_ids": [1, 2], "attention_mask": [1, 0]}""", "attention_mask")]
    [InlineData("""{"input_ids": [1, 2], "labels": [-100]}""", "1 labels for 2 input_ids")]
    [InlineData("""{"input_ids": [1, 2], "labels": [-100, -100]}""", "all are -100")]
    [InlineData("""{"input_ids": [1, 2, 3], "labels": [1, -100, 3]}""", "entry 2 is -100 where input_ids has 2")]
    [InlineData("""{"other": 1}""", "none of the known fields")]
    public void Execute_ARowThatCannotBeUsed_IsNamedAndNothingIsWritten(string row, string expected)
    {
        var settings = Settings("""{"text": "fine"}""", row);
        var run = CommandRun.Of("logprobs", "--model", _model, "--data", settings.Data, "--out", settings.Out, "--device", "cpu");
        Assert.Equal(2, run.ExitCode);
        Assert.Contains(expected, Assert.Single(run.Errors, line => line.StartsWith("falcon:", StringComparison.Ordinal)));
        Assert.False(Directory.Exists(Path.GetDirectoryName(settings.Out)!));
    }

    [Fact]
    public void Execute_Interrupted_LeavesTheEarlierFile()
    {
        var settings = Settings("""{"text": "fine"}""");
        Directory.CreateDirectory(Path.GetDirectoryName(settings.Out)!);
        File.WriteAllText(settings.Out, "earlier");
        using var source = new CancellationTokenSource();
        source.Cancel();
        Assert.ThrowsAny<OperationCanceledException>(() =>
            LogprobsRun.Execute(settings, RunContext.Quiet with { Cancellation = source.Token })
        );
        Assert.Equal("earlier", File.ReadAllText(settings.Out));
        Assert.Single(Directory.EnumerateFiles(Path.GetDirectoryName(settings.Out)!));
    }

    [Fact]
    public void Perplexity_OfTokenIds_NeedsNoTokenizerAndGivesTheFirstToken()
    {
        var settings = Settings("""{"input_ids": [5, 9, 300, 17]}""", """{"input_ids": [8, 8]}""");
        var record = LogprobsRun.Execute(settings, RunContext.Quiet);
        File.Delete(Path.Combine(_model, "tokenizer.json"));
        var evaluation = new EvaluationSettings(_model, ["perplexity"], settings.Data, null, _folder.At("result.json"))
        {
            Device = "cpu",
            DType = "float32",
        };
        var result = EvaluateRun.Execute(evaluation, SilentRunLog.Instance, TimeProvider.System, TestContext.Current.CancellationToken);
        var (name, value) = Assert.Single(result.Metrics);
        Assert.Equal("token_perplexity", name);
        Assert.Equal(record.TokenPerplexity!.Value, value.Value, 1e-4 * value.Value);
        File.AppendAllText(settings.Data, """{"text": "words"}""");
        Assert.Contains(
            "some rows are texts",
            Assert
                .Throws<UserInputException>(() =>
                    EvaluateRun.Execute(evaluation, SilentRunLog.Instance, TimeProvider.System, TestContext.Current.CancellationToken)
                )
                .Message,
            StringComparison.Ordinal
        );
    }
}
