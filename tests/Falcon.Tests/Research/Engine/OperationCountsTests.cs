using Falcon.Research.Engine;

namespace Falcon.Tests.Research.Engine;

public class OperationCountsTests
{
    [Fact]
    public void Of_MistralShape_IsNearTheMethodsBudget()
    {
        // The budget in layer passes, counted without attention and with the head as 0.6 of a layer: 162, 26 and 10, that is 6.2 and 16
        // times less.
        var counts = OperationCounts.Of(RandomCheckpoint.Architecture("mistral-7b"), rows: 4, length: 512, target: 7, lowest: 5);
        Assert.Equal(162, counts.Baseline / counts.LayerForward, 1.5);
        Assert.Equal(26, counts.Uncached / counts.LayerForward, 1.0);
        Assert.Equal(10, counts.Cached / counts.LayerForward, 0.8);
    }

    [Fact]
    public void Of_DemoShape_AgreesWithACountByHand()
    {
        // One text of two tokens, target and lowest layer 0: H 128, I 384, four matrices [128, 128], V 1024, 6 layers; the causal half of 2
        // x 2 positions is 3.
        var counts = OperationCounts.Of(RandomCheckpoint.Architecture("demo"), rows: 1, length: 2, target: 0, lowest: 0);
        const double down = 2 * 2 * 128 * 384,
            linear = (2 * 2 * 128 * 4 * 128) + (3 * down),
            attention = 2 * 2 * 128 * 3,
            head = 2 * 2 * 128 * 1024;
        Assert.Equal(linear + attention, counts.LayerForward);
        Assert.Equal(2 * ((2 * ((6 * (linear + attention)) + head)) + (2 * linear) + (2.5 * attention)), counts.Baseline);
        Assert.Equal(2 * (down + down), counts.Cached);
        Assert.Equal(2 * (linear + attention - down + down + down + down), counts.Uncached);
    }
}
