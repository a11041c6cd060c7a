using Falcon.Runtime;

namespace Falcon.Data;

/// <summary>The order in which the records of a list are visited.</summary>
public enum BatchOrder
{
    /// <summary>A new random order for every epoch, from the seed.</summary>
    Shuffled,

    /// <summary>The order of the file in every epoch, as in FALCON's published code (preset <c>official</c>).</summary>
    File,
}

/// <summary>The records of one step, as positions in the lists of its topic.</summary>
/// <param name="Step">The step, from 0.</param>
/// <param name="Topic">The topic: <c>Step mod Topics</c>.</param>
/// <param name="Forget">Records of the topic's forget list.</param>
/// <param name="Retain">Records of the topic's retain list.</param>
public sealed record ScheduledBatch(int Step, int Topic, IReadOnlyList<int> Forget, IReadOnlyList<int> Retain);

/// <summary>
/// Chooses the forget and retain records of every step. Step t trains on topic t mod T and takes the topic's batch number t div T, as in
/// FALCON's published training loop. A list of n records has ceil(n / B) batches of at most B records in an epoch, so every record is
/// visited once before any is visited again. The forget and retain lists of a topic have epochs of their own. The batch of a step depends
/// on the arguments alone, so that a resumed run continues with the same batches.
/// </summary>
public sealed class BatchSchedule
{
    private readonly IReadOnlyList<(int Forget, int Retain)> _counts;
    private readonly int _batchSize;
    private readonly int _retainBatchSize;
    private readonly BatchOrder _order;
    private readonly ulong _seed;

    /// <summary>A schedule for T topics.</summary>
    /// <param name="counts">The numbers of forget and retain records of each topic.</param>
    /// <param name="batchSize">B, records of each kind in a step.</param>
    /// <param name="order">The order within an epoch.</param>
    /// <param name="seed">The seed of the run; <see cref="BatchOrder.File"/> does not use it.</param>
    /// <param name="retainBatchSize">Retain records in a step; 0 for as many as forget records.</param>
    /// <exception cref="ArgumentException">There is no topic, or a topic without forget or retain records.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The batch size is not positive, or the retain batch size is negative.</exception>
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
        (_counts, _order, _seed) = ([.. counts], order, seed);
        (_batchSize, _retainBatchSize) = (batchSize, retainBatchSize > 0 ? retainBatchSize : batchSize);
    }

    /// <summary>T, the number of topics.</summary>
    public int Topics => _counts.Count;

    /// <summary>
    /// The number of steps that visit every forget record of every topic: T times the number of batches of the longest forget list.
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

    /// <summary>Batch number <paramref name="index"/> of a single list, counted across epochs.</summary>
    /// <param name="count">n, the records of the list.</param>
    /// <param name="batchSize">B.</param>
    /// <param name="index">The batch, from 0.</param>
    /// <param name="order">The order within an epoch.</param>
    /// <param name="seed">The seed of the run.</param>
    /// <param name="purpose">Names the list, so that the lists of a run are shuffled independently.</param>
    /// <returns>At most B distinct positions from 0 to n - 1.</returns>
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

    /// <summary>ceil(n / B), the number of batches of an epoch.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The batch size is not positive.</exception>
    public static int BatchesPerEpoch(int count, int batchSize)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(batchSize);
        return (count + batchSize - 1) / batchSize;
    }
}
