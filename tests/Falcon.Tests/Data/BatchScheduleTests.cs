using Falcon.Data;

namespace Falcon.Tests.Data;

public class BatchScheduleTests
{
    /// <summary>Expected by hand: topic 0 has forget batches 01 23 4, topic 1 has 01 2; retain lists run on their own.</summary>
    [Fact]
    public void At_FileOrder_AlternatesTopicsAndWrapsAround()
    {
        var schedule = new BatchSchedule([(5, 4), (3, 2)], 2, BatchOrder.File, seed: 9);
        var steps = Enumerable
            .Range(0, 8)
            .Select(schedule.At)
            .Select(batch => $"{batch.Step} {batch.Topic} {string.Concat(batch.Forget)} {string.Concat(batch.Retain)}");
        Assert.Equal(["0 0 01 01", "1 1 01 01", "2 0 23 23", "3 1 2 01", "4 0 4 01", "5 1 01 01", "6 0 01 23", "7 1 2 01"], steps);
        Assert.Equal((2, 6), (schedule.Topics, schedule.StepsPerEpoch));
    }

    /// <summary>Expected by hand: forget batches 01 23 4, retain batches 012 34 in their own epochs.</summary>
    [Fact]
    public void At_RetainBatchOfItsOwn_RunsThroughItsOwnEpochs()
    {
        var schedule = new BatchSchedule([(5, 5)], 2, BatchOrder.File, seed: 9, retainBatchSize: 3);
        var steps = Enumerable
            .Range(0, 4)
            .Select(schedule.At)
            .Select(batch => $"{string.Concat(batch.Forget)} {string.Concat(batch.Retain)}");
        Assert.Equal(["01 012", "23 34", "4 012", "01 34"], steps);
        Assert.Throws<ArgumentOutOfRangeException>(() => new BatchSchedule([(5, 5)], 2, BatchOrder.File, seed: 9, retainBatchSize: -1));
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(7, 3)]
    [InlineData(12, 4)]
    [InlineData(3, 8)]
    public void Batch_Shuffled_VisitsEveryRecordOnceAnEpoch(int count, int batchSize)
    {
        var batches = BatchSchedule.BatchesPerEpoch(count, batchSize);
        for (var epoch = 0; epoch < 3; epoch++)
        {
            var visited = Enumerable
                .Range(epoch * batches, batches)
                .SelectMany(index => BatchSchedule.Batch(count, batchSize, index, BatchOrder.Shuffled, 5, "train"));
            Assert.Equal(Enumerable.Range(0, count), visited.Order());
        }
    }

    [Fact]
    public void Batch_EpochsSeedsAndPurposes_HaveOrdersOfTheirOwn()
    {
        static string Order(int epoch, ulong seed, string purpose) =>
            string.Join(' ', BatchSchedule.Batch(50, 50, epoch, BatchOrder.Shuffled, seed, purpose));
        Assert.Equal(Order(0, 1, "a"), Order(0, 1, "a"));
        Assert.Equal(4, new[] { Order(0, 1, "a"), Order(1, 1, "a"), Order(0, 2, "a"), Order(0, 1, "b") }.Distinct().Count());
    }

    [Fact]
    public void At_SameStep_IsTheSameWhateverWasAskedBefore()
    {
        var (one, other) = (
            new BatchSchedule([(40, 30)], 4, BatchOrder.Shuffled, 3),
            new BatchSchedule([(40, 30)], 4, BatchOrder.Shuffled, 3)
        );
        one.At(0);
        Assert.Equal(one.At(17).Forget, other.At(17).Forget);
        Assert.Equal(one.At(17).Retain, other.At(17).Retain);
    }

    [Fact]
    public void Constructor_NothingToSchedule_IsRefused()
    {
        Assert.Throws<ArgumentException>(() => new BatchSchedule([], 4, BatchOrder.File, 0));
        Assert.Throws<ArgumentException>(() => new BatchSchedule([(4, 0)], 4, BatchOrder.File, 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => new BatchSchedule([(4, 4)], 0, BatchOrder.File, 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => new BatchSchedule([(4, 4)], 1, BatchOrder.File, 0).At(-1));
    }
}
