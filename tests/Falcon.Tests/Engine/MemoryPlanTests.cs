using Falcon.Checkpoints;
using Falcon.Engine;
using Falcon.Models;
using Falcon.Models.Families;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Tests.Engine;

/// <summary>The way of running that a memory plan chooses.</summary>
public sealed class MemoryPlanTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void MemoryPlan_ChoosesTheFastestWayThatFits()
    {
        // Shapes of a 7B model: 32 layers, width 4096; three down projections of layers 5 to 7 are trained in bfloat16.
        var model = Shape(4096, 14336, 32, 32, 8, 32000);
        var compute = new ComputeOptions(CPU, bfloat16, "");
        TokenBatch[] batches =
        [
            .. Enumerable.Repeat(new TokenBatch([.. Enumerable.Range(0, 4).Select(i => Enumerable.Repeat(i + 1, 512).ToArray())], 0), 8),
        ];
        MemoryPlan Plan(long limit) =>
            MemoryPlan.Make(
                new MemoryDemand(
                    model,
                    compute,
                    7,
                    TrainedParameters.Select(model, 7, 3, ["mlp.down_proj"]),
                    PassNeeds.TargetStates,
                    new EngineSettings { MemoryLimit = limit }
                ),
                batches,
                available: 64L << 30,
                freeDisk: 100L << 30
            );

        Assert.True(Plan(16L << 30) is { Streamed: false, StateInFile: false, Cached: true });
        Assert.True(Plan(8_000_000_000) is { Streamed: true, StateInFile: false });
        Assert.True(Plan(4_000_000_000) is { Streamed: true, StateInFile: true });
        Assert.Contains("--memory-limit", Assert.Throws<UserInputException>(() => Plan(1L << 30)).Message, StringComparison.Ordinal);
    }

    // Shapes of SmolLM2-135M, batches of 4 texts of 500 tokens. Losses that look at answers run the layers above the target while the
    // step's own tensors wait; their logits come in parts of 128 MiB, held twice.
    [Fact]
    public void MemoryPlan_LayersAbove_CountTheirPassAndNoMoreLogitsThanAreMade()
    {
        var model = Shape(576, 1536, 30, 9, 3, 49152);
        TokenBatch[] batches = [new TokenBatch([.. Enumerable.Range(1, 4).Select(id => Enumerable.Repeat(id, 500).ToArray())], 0)];
        long Step(PassNeeds needs) =>
            new MemoryDemand(model, ComputeOptions.Exact, 7, TrainedParameters.Select(model, 7, 3, ["all"]), needs, new EngineSettings())
                .StepBytes(batches[0].Rows * batches[0].Length);

        var above = Step(PassNeeds.TargetStates | PassNeeds.LayersAbove) - Step(PassNeeds.TargetStates);

        Assert.InRange(above, 256L << 20, 400L << 20);
    }

    private ModelConfig Shape(int hidden, int inner, int layers, int heads, int keyValueHeads, int vocabulary)
    {
        var shape = TinyCheckpoint.Config();
        foreach (
            var (key, value) in new (string, int)[]
            {
                ("hidden_size", hidden),
                ("intermediate_size", inner),
                ("num_hidden_layers", layers),
                ("num_attention_heads", heads),
                ("num_key_value_heads", keyValueHeads),
                ("vocab_size", vocabulary),
            }
        )
            shape[key] = value;
        var folder = _folder.At("shape");
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "config.json"), shape.ToJsonString());
        return ModelConfig.Load(folder);
    }

    [Fact]
    public void OpenedModel_StreamsWhatDoesNotFit()
    {
        using var checkpoint = Checkpoint.Open(TinyCheckpoint.Write(_folder.At("source")));
        using var small = OpenedModel.Open(checkpoint, ComputeOptions.Exact, memoryLimit: 1, SilentRunLog.Instance);
        using var large = OpenedModel.Open(checkpoint, ComputeOptions.Exact, memoryLimit: null, SilentRunLog.Instance);
        Assert.True(small.Model.IsStreamed);
        Assert.False(large.Model.IsStreamed);
    }
}
