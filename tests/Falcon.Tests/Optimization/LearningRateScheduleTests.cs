using Falcon.Optimization;

namespace Falcon.Tests.Optimization;

public class LearningRateScheduleTests
{
    [Fact]
    public void At_WarmupThenConstant()
    {
        var schedule = new LearningRateSchedule(8, 10, WarmupSteps: 4);
        Assert.Equal([2, 4, 6, 8, 8, 8], Enumerable.Range(0, 6).Select(schedule.At));
        Assert.Equal(8, schedule.At(100));
    }

    [Theory]
    [InlineData(LearningRateDecay.Linear, 0, 1.0)]
    [InlineData(LearningRateDecay.Linear, 5, 0.55)] // halfway between 1 and the final share 0.1
    [InlineData(LearningRateDecay.Linear, 10, 0.1)]
    [InlineData(LearningRateDecay.Cosine, 0, 1.0)]
    [InlineData(LearningRateDecay.Cosine, 5, 0.55)]
    [InlineData(LearningRateDecay.Cosine, 10, 0.1)]
    [InlineData(LearningRateDecay.Cosine, 99, 0.1)]
    public void At_Decays(LearningRateDecay decay, int step, double expected) =>
        Assert.Equal(expected, new LearningRateSchedule(1, 10, decay, FinalShare: 0.1).At(step), 12);
}
