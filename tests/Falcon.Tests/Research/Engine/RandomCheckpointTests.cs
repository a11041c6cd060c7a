using Falcon.Checkpoints;
using Falcon.Models;
using Falcon.Research.Engine;
using Falcon.Runtime;
using Falcon.Tests.Cli;
using Falcon.Tokenization;
using static TorchSharp.torch;

namespace Falcon.Tests.Research.Engine;

public class RandomCheckpointTests
{
    [Fact]
    public void Write_DemoShape_IsACheckpointThatRuns()
    {
        using var folder = new TemporaryFolder();
        var path = folder.At("model");

        var record = RandomCheckpoint.Write("demo", path, seed: 1, layers: 2, RunContext.Quiet, shardBytes: 300_000);

        using var scope = NewDisposeScope();
        var (weights, model) = Checkpoint.LoadModel(path, float32, CPU);
        using (weights)
        {
            Assert.True(record.Shards > 1);
            Assert.Equal(2, model.Config.LayerCount);
            Assert.Equal(record.Parameters, weights.Tensors.Values.Sum(weight => weight.numel()));
            // 0.02, and 0.02 / sqrt(2 layers) where a matrix writes to the residual stream; 49,152 draws know a deviation within 0.3 %.
            Assert.Equal(0.02, Deviation(weights, "model.layers.1.mlp.up_proj.weight"), 0.0003);
            Assert.Equal(0.01, Deviation(weights, "model.layers.1.mlp.down_proj.weight"), 0.00015);
            Assert.Equal(1, weights.Tensors["model.norm.weight"].min().item<float>());
            var ids = HfTokenizer.Load(path).Encode("any text, même celui-ci");
            Assert.All(ids, id => Assert.InRange(id, 0, model.Config.VocabularySize - 1));
            var batch = new TokenBatch([ids], 1);
            using var context = batch.Context(model);
            Assert.True(model.Logits(batch.InputIds(CPU), context).isfinite().all().item<bool>());
        }
    }

    [Fact]
    public void Write_SameSeed_GivesTheSameBytes()
    {
        using var folder = new TemporaryFolder();
        byte[] Written(string name, ulong seed)
        {
            RandomCheckpoint.Write("demo", folder.At(name), seed, layers: 1, RunContext.Quiet);
            return File.ReadAllBytes(Path.Combine(folder.At(name), "model-00001-of-00001.safetensors"));
        }

        var first = Written("a", 5);
        Assert.Equal(first, Written("b", 5));
        Assert.NotEqual(first, Written("c", 6));
    }

    [Theory]
    [InlineData("demo", 1_410_688)] // the demo model's own count
    [InlineData("llama-1b", 1_235_814_400)] // Llama-3.2-1B as published
    [InlineData("mistral-7b", 7_248_023_552)] // Mistral-7B-v0.3 as published
    public void Architecture_KnownShapes_HaveThePublishedNumberOfWeights(string shape, long parameters) =>
        Assert.Equal(
            parameters,
            WeightNames
                .Expected(RandomCheckpoint.Architecture(shape))
                .Sum(item => item.Shape.Aggregate(1L, (product, size) => product * size))
        );

    [Fact]
    public void Write_Interrupted_LeavesNothing()
    {
        using var folder = new TemporaryFolder();
        using var cancelled = new CancellationTokenSource();
        cancelled.Cancel();
        Assert.Throws<OperationCanceledException>(() =>
            RandomCheckpoint.Write("demo", folder.At("model"), 0, 1, RunContext.Quiet with { Cancellation = cancelled.Token })
        );
        Assert.Empty(Directory.EnumerateFileSystemEntries(folder.Path));
    }

    [Fact]
    public void MakeModel_UnknownShape_IsRefusedInOneLine()
    {
        var run = CommandRun.Of("bench", "make-model", "--shape", "gpt", "--out", "x");
        Assert.Equal(2, run.ExitCode);
        Assert.Equal(
            [
                "falcon bench make-model: --shape is 'gpt', it must be one of demo, llama-1b, mistral-7b (see 'falcon bench make-model "
                    + "--help')",
            ],
            run.Errors
        );
    }

    private static double Deviation(Weights weights, string name) => weights.Tensors[name].std().item<float>();
}
