using Falcon.Runtime;

namespace Falcon.Data;

/// <summary>In which order the records of a list are visited.</summary>
public enum BatchOrder
{
    /// <summary>A new random order for every epoch, from the seed.</summary>
    Shuffled,

    /// <summary>The order of the file in every epoch, as the authors' published code has it (preset <c>official</c>).</summary>
    File,
}

/// <summary>What meets in one step; the numbers are positions in the topic's lists of records.</summary>
/// <param name="Step">The step, from 0.</param>
/// <param name="Topic">The topic: <c>Step mod Topics</c>.</param>
/// <param name="Forget">Records of the topic's forget list.</param>
/// <param name="Retain">Records of the topic's retain list.</param>
public sealed record ScheduledBatch(int Step, int Topic, IReadOnlyList<int> Forget, IReadOnlyList<int> Retain);

/// <summary>
/// Which forget and retain records meet in which step. Step t works on topic t mod T and is its batch number t div T (FALCON, published
/// training loop). A list of n records in batches of B has ceil(n / B) batches an epoch, the last with the rest; then the next epoch
/// begins. So every record is visited once before any is visited again, and no batch holds a record twice. Forget and retain lists of a
/// topic run through their own epochs. Pure: a step's batch depends on the arguments alone, so a resumed run continues with the same
/// batches.
/// </summary>
public sealed class BatchSchedule
{
    private readonly IReadOnlyList<(int Forget, int Retain)> _counts;
    private readonly int _batchSize;
    private readonly int _retainBatchSize;
    private readonly BatchOrder _order;
    private readonly ulong _seed;

    /// <summary>A schedule for T topics.</summary>
    /// <param name="counts">For every topic the number of forget and of retain records.</param>
    /// <param name="batchSize">B, records of each kind a step.</param>
    /// <param name="order">The order within an epoch.</param>
    /// <param name="seed">The seed of the run; without effect for <see cref="BatchOrder.File"/>.</param>
    /// <param name="retainBatchSize">Retain records a step where they are not as many as forget records; 0 for as many.</param>
    /// <exception cref="ArgumentException">There is no topic, or a topic without forget or retain records.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The batch size is not positive.</exception>
    public BatchSchedule(
        IReadOnlyList<(int Forget, int Retain)> counts,
        int batchSize,
        BatchOrder order,
        ulong seed,
        int retainBatchSize = 0
    )
    {
        if (counts.Count == 0)
            throw new ArgumentException("at least one topic is needed", nameof(counts));
        if (counts.Any(count => count.Forget <= 0 || count.Retain <= 0))
            throw new ArgumentException("every topic needs forget and retain records", nameof(counts));
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(batchSize);
        ArgumentOutOfRangeException.ThrowIfNegative(retainBatchSize);
        (_counts, _batchSize, _retainBatchSize, _order, _seed) = (
            [.. counts],
            batchSize,
            retainBatchSize > 0 ? retainBatchSize : batchSize,
            order,
            seed
        );
    }

    /// <summary>T, the number of topics.</summary>
    public int Topics => _counts.Count;

    /// <summary>
    /// The number of steps after which every forget record of every topic has been visited: T times the batches of the longest forget list.
    /// </summary>
    public int StepsPerEpoch => Topics * _counts.Max(count => BatchesPerEpoch(count.Forget, _batchSize));

    /// <summary>The records of a step.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The step is negative.</exception>
    public ScheduledBatch At(int step)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(step);
        var (topic, batch) = (step % Topics, step / Topics);
        return new ScheduledBatch(step, topic,
            Batch(_counts[topic].Forget, _batchSize, batch, _order, _seed, $"forget order, topic {topic}"),
            Batch(_counts[topic].Retain, _retainBatchSize, batch, _order, _seed, $"retain order, topic {topic}"));
    }

    /// <summary>Batch number <paramref name="index"/> of a single list, counted on through the epochs; for training on one list.</summary>
    /// <param name="count">n, the records of the list.</param>
    /// <param name="batchSize">B.</param>
    /// <param name="index">The batch, from 0.</param>
    /// <param name="order">The order within an epoch.</param>
    /// <param name="seed">The seed of the run.</param>
    /// <param name="purpose">What the list is, so that lists of one run are shuffled independently.</param>
    /// <returns>At most B different positions from 0 to n - 1.</returns>
    public static IReadOnlyList<int> Batch(int count, int batchSize, int index, BatchOrder order, ulong seed, string purpose)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(count);
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        var batches = BatchesPerEpoch(count, batchSize);
        var (epoch, first) = (index / batches, index % batches * batchSize);
        var positions =
            order == BatchOrder.File ? [.. Enumerable.Range(0, count)] : new SeededRandom(seed, purpose, epoch).Permutation(count);
        return positions[first..Math.Min(first + batchSize, count)];
    }

    /// <summary>ceil(n / B), the batches in which a list of n records is visited once.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The batch size is not positive.</exception>
    public static int BatchesPerEpoch(int count, int batchSize)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(batchSize);
        return (count + batchSize - 1) / batchSize;
    }
}
