using Falcon.Data;
using Falcon.Research.Layers;
using Falcon.Runtime;

namespace Falcon.Tests.Research.Layers;

public sealed class LayerBenchmarkTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(0.3, 0.3)] // damage grows with the share itself
    [InlineData(5, 5)]
    [InlineData(100, 16)] // never reached
    public void ShareOfDamage_FindsTheShare(double damage, double expected) =>
        Assert.Equal(expected, LayerBenchmark.ShareOfDamage(damage, share => share), 0.05 * expected);

    [Fact]
    public void Execute_MeasuresEveryLayerAndWritesTheTable()
    {
        var settings = new LayerBenchmarkSettings(
            TinyCheckpoint.Write(_folder.At("model")),
            new DataSettings
            {
                Forget = [TinyCheckpoint.Questions(_folder.At("f.jsonl"), "forgotten")],
                Retain = [TinyCheckpoint.Questions(_folder.At("r.jsonl"), "kept")],
            },
            _folder.At("out")
        )
        {
            Seeds = 2,
            Steps = 1,
            Texts = 4,
        };

        var result = LayerBenchmark.Execute(settings, RunContext.Quiet);

        Assert.All(result.Layers, layer => Assert.True(layer.ForgetEffect.Count == 2 && layer.Share.All(share => share is > 0 and <= 16)));
        Assert.InRange(result.InformationAndEffect.Value, -1, 1);
        Assert.True(result.InformationAndDepth.Low <= result.InformationAndDepth.High);
        Assert.Equal(result.Markdown(), File.ReadAllText(_folder.At("out", "layers.md")));
    }
}
