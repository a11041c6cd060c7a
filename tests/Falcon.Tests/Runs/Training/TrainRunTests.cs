using Falcon.Checkpoints;
using Falcon.Data;
using Falcon.Evaluation;
using Falcon.Optimization;
using Falcon.Runs.Configuration;
using Falcon.Runs.Training;
using Falcon.Runtime;
using Falcon.Tokenization;
using static TorchSharp.torch;

namespace Falcon.Tests.Runs.Training;

/// <summary>
/// Expected: twenty facts fit into a tiny model, so its loss must fall to about nothing and its greedy answers must be the taught ones.
/// </summary>
public sealed class TrainRunTests : IDisposable
{
    private static readonly string[] Colours = ["amber", "blue", "crimson", "green", "violet"];

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private TrainConfig Config(int steps)
    {
        var path = _folder.At("facts.jsonl");
        File.WriteAllLines(
            path,
            Enumerable
                .Range(0, 20)
                .Select(i => $$"""{"question": "What colour is stone {{i}}?", "answer": "It is {{Colours[i * 7 % 5]}}."}""")
        );
        return new TrainConfig
        {
            Model = new NewModelConfig
            {
                HiddenSize = 64,
                Layers = 2,
                Heads = 4,
                KeyValueHeads = 2,
                IntermediateSize = 128,
                MaxPositions = 64,
            },
            Tokenizer = new NewTokenizerConfig { VocabularySize = 320 },
            Data = new TrainDataConfig { Questions = [path], BatchSize = 20, QuestionWeight = 0 },
            Optimizer = new OptimizerSettings { LearningRate = 5e-3, WarmupSteps = 20, Decay = LearningRateDecay.Cosine },
            Steps = steps,
            Seed = 1,
        };
    }

    [Fact]
    public void Execute_TwentyFacts_AreLearned()
    {
        var config = Config(300);
        var record = TrainRun.Execute(config, _folder.At("model"), RunContext.Quiet);
        Assert.InRange(record.Loss, 0, 0.02);

        var (weights, model) = Checkpoint.LoadModel(_folder.At("model"), float32, CPU);
        using (weights)
        {
            var facts = Corpus.Read(config.Data.Questions[0]);
            var prompts = PromptEncoder.Plain(HfTokenizer.Load(_folder.At("model")));
            var answers = GreedyAnswers.Generate(model, prompts, [.. facts.Select(prompts.EncodePrompt)], 16);
            Assert.Equal(facts.Select(fact => fact.Answer), answers.Select(answer => answer.Trim()));
        }
    }

    [Fact]
    public void Execute_SameSeed_GivesTheSameBytes()
    {
        foreach (var (name, seed) in new (string, ulong)[] { ("a", 1), ("b", 1), ("c", 2) })
            TrainRun.Execute(Config(8) with { Seed = seed }, _folder.At(name), RunContext.Quiet);
        Assert.Equal(File.ReadAllBytes(_folder.At("a", "model.safetensors")), File.ReadAllBytes(_folder.At("b", "model.safetensors")));
        Assert.NotEqual(File.ReadAllBytes(_folder.At("a", "model.safetensors")), File.ReadAllBytes(_folder.At("c", "model.safetensors")));
    }

    [Fact]
    public void Execute_StartFrom_ContinuesAndKeepsTheOtherFiles()
    {
        var first = TrainRun.Execute(Config(20), _folder.At("first"), RunContext.Quiet);
        var second = TrainRun.Execute(Config(60) with { StartFrom = _folder.At("first") }, _folder.At("second"), RunContext.Quiet);
        Assert.True(second.Loss < first.Loss / 2, $"{first.Loss} -> {second.Loss}");
        foreach (
            var name in new[]
            {
                "config.json",
                "generation_config.json",
                "tokenizer.json",
                "tokenizer_config.json",
                "special_tokens_map.json",
            }
        )
            Assert.Equal(File.ReadAllBytes(_folder.At("first", name)), File.ReadAllBytes(_folder.At("second", name)));
    }

    [Fact]
    public void Execute_AbsurdLearningRate_FailsAndLeavesNothing()
    {
        var config = Config(50);
        Assert.Throws<NumericalFailureException>(() =>
            TrainRun.Execute(
                config with
                {
                    Optimizer = config.Optimizer with { LearningRate = 1e30, WarmupSteps = 0 },
                },
                _folder.At("model"),
                RunContext.Quiet
            )
        );
        Assert.Equal(["facts.jsonl"], Directory.GetFileSystemEntries(_folder.Path).Select(path => Path.GetFileName(path)));
    }

    [Fact]
    public void Execute_AfterTheRun_NoTensorIsLeft()
    {
        var run = 0;
        TensorLeaks.Check(0, _ => TrainRun.Execute(Config(5), _folder.At($"run{run++}"), RunContext.Quiet));
    }

    [Fact]
    public void Batches_OfAnEpoch_HoldEveryTextOnce()
    {
        int[] lengths = [.. Enumerable.Range(0, 101).Select(i => 5 + i * 37 % 50)];
        var batches = LengthBuckets.Batches(lengths, 8, seed: 3, epoch: 0);
        Assert.Equal(Enumerable.Range(0, 101), batches.SelectMany(batch => batch).Order());
        Assert.Equal(13, batches.Count);
        Assert.NotEqual(batches.SelectMany(batch => batch), LengthBuckets.Batches(lengths, 8, 3, 1).SelectMany(batch => batch));
    }
}
