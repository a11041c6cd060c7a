using Falcon.Runtime;

namespace Falcon.Runs.Training;

/// <summary>
/// The batches of an epoch. All texts are shuffled and cut into groups of several batches. Each group is sorted by length, so that a batch
/// holds texts of similar length and little padding. Then the batches are shuffled. The result depends on the arguments alone.
/// </summary>
internal static class LengthBuckets
{
    private const int BatchesPerGroup = 16;

    /// <summary>The texts of each batch, as positions in <paramref name="lengths"/>; every position occurs once.</summary>
    public static IReadOnlyList<int[]> Batches(IReadOnlyList<int> lengths, int batchSize, ulong seed, int epoch)
    {
        var random = new SeededRandom(seed, "training order", epoch);
        var batches = random.Permutation(lengths.Count)
            .Chunk(BatchesPerGroup * batchSize)
            .SelectMany(group => group.OrderBy(position => lengths[position]).Chunk(batchSize)) // a stable sort
            .ToArray();
        random.Shuffle<int[]>(batches);
        return batches;
    }
}
