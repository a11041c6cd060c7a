using System.Text.Json;
using Falcon.Research.Engine;
using Falcon.Runtime;
using Falcon.Tests.Cli;

namespace Falcon.Tests.Research.Engine;

public class EngineBenchmarkTests
{
    [Fact]
    public void Engine_DemoShape_MeasuresBothAndAgreesOnTheLosses()
    {
        using var folder = new TemporaryFolder();
        var run = CommandRun.Of(
            "bench",
            "engine",
            "--shape",
            "demo",
            "--layer",
            "3",
            "--steps",
            "2",
            "--batch",
            "2",
            "--length",
            "16",
            "--dtype",
            "float32",
            "--device",
            "cpu",
            "--json",
            "--out",
            folder.At("results")
        );

        Assert.Equal(0, run.ExitCode);
        var result = JsonDocument.Parse(run.Output).RootElement;
        Assert.Equal("demo", result.GetProperty("shape").GetString());
        Assert.True(result.GetProperty("stepSeconds").GetProperty("baseline").GetDouble() > 0);
        Assert.True(result.GetProperty("stepSeconds").GetProperty("uncached").GetDouble() > 0);
        Assert.True(
            result.GetProperty("predictedRatio").GetProperty("cached").GetDouble()
                > result.GetProperty("predictedRatio").GetProperty("uncached").GetDouble()
        );
        Assert.True(result.GetProperty("peakBytes").GetProperty("engine").GetInt64() > 1 << 20);
        Assert.True(result.GetProperty("gemmFraction").GetDouble() > 0);
        // Two implementations of one step on the same weights, tokens and vector, in float32. The first update differs a little: at step 0
        // the retain gradient of the authors' loss is rounding noise, which decides their conflict rule, where ours is exactly zero.
        double[] Losses(string variant) =>
            [
                .. result
                    .GetProperty("trials")
                    .EnumerateArray()
                    .First(trial => trial.GetProperty("variant").GetString() == variant)
                    .GetProperty("forgetLosses")
                    .EnumerateArray()
                    .Select(loss => loss.GetDouble()),
            ];
        Assert.Equal(Losses("baseline")[0], Losses("uncached")[0], 1e-5);
        Assert.Equal(Losses("uncached")[1], Losses("cached")[1], 1e-5);
        Assert.Equal(Losses("uncached")[1], Losses("streamed")[1], 1e-5);
        Assert.InRange(result.GetProperty("lossDifference").GetDouble(), 0, 5e-3);
        Assert.Contains("| the authors' loop |", File.ReadAllText(folder.At("results", "engine-demo.md")), StringComparison.Ordinal);
    }

    [Fact]
    public void BaselineBytes_SevenBillionWeights_AreTwoModelsAndMore()
    {
        var config = RandomCheckpoint.Architecture("mistral-7b");
        var bytes = EngineBenchmark.BaselineBytes(
            new EngineBenchmarkSettings("mistral-7b", 7),
            config,
            ComputeOptions.Choose("cpu", "bfloat16", default)
        );
        Assert.InRange(bytes, 2 * 14_496_047_104, 60_000_000_000);
    }
}
