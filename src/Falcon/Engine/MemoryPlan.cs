using Falcon.Models;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Engine;

/// <summary>
/// The memory that a run will need, predicted from the tensor shapes before anything is loaded, and the way of running chosen from it.
/// </summary>
/// <param name="Limit">Bytes of resident memory that the run may take.</param>
/// <param name="Streamed">Whether the frozen model is read layer by layer; else it stays in memory.</param>
/// <param name="StateInFile">Whether masters and moments lie in a file.</param>
/// <param name="Cached">Whether the frozen model's activations are kept.</param>
/// <param name="CacheBytes">Bytes that the kept activations take; 0 if none are kept.</param>
/// <param name="CacheMemory">Bytes of it that stay in memory.</param>
/// <param name="Predicted">Predicted peak of resident memory in bytes.</param>
/// <param name="Parts">What the prediction consists of, in bytes.</param>
public sealed record MemoryPlan(
    long Limit,
    bool Streamed,
    bool StateInFile,
    bool Cached,
    long CacheBytes,
    long CacheMemory,
    long Predicted,
    IReadOnlyDictionary<string, long> Parts
)
{
    // Runtime, libtorch and its kernels' work space; measured with the small models, and with 7B shapes where matrices are repacked for
    // bfloat16 products.
    internal const long Program = 380L << 20;
    private const double UsableShare = 0.9;

    /// <summary>
    /// Resident memory above which freed memory is given back (<see cref="Runtime.Machine.FreedMemory"/>): below the prediction, since
    /// memory grows on until the next look at it.
    /// </summary>
    public long ReturnAbove => ReturnAboveFor(Predicted);

    /// <summary>The same for any prediction.</summary>
    /// <param name="predicted">Predicted peak of resident memory in bytes.</param>
    internal static long ReturnAboveFor(long predicted) => (long)(predicted * UsableShare);

    /// <summary>The bytes of resident memory that a run may take.</summary>
    /// <param name="engine">Has the limit, where one is set.</param>
    /// <param name="available">Bytes of memory that can be had.</param>
    internal static long LimitOf(EngineSettings engine, long available) => engine.MemoryLimit ?? (long)(available * UsableShare);

    /// <summary>In a line for the log.</summary>
    public string Describe() =>
        $"predicted peak memory {PeakMemory.Text(Predicted)} of {PeakMemory.Text(Limit)} "
        + $"({string.Join(", ", Parts.Where(part => part.Value >= 1 << 20).Select(part => $"{part.Key} {PeakMemory.Text(part.Value)}"))}); "
        + (Streamed ? "the frozen model is read layer by layer" : "the frozen model stays in memory")
        + (StateInFile ? ", masters and moments lie in a file" : "")
        + (
            Cached
                ? $", its activations are kept ({PeakMemory.Text(CacheBytes)}, {PeakMemory.Text(Math.Min(CacheBytes, CacheMemory))} of it "
                    + $"in memory)"
                : ""
        );

    /// <summary>Chooses the fastest way that fits.</summary>
    /// <param name="demand">What decides the memory of the run.</param>
    /// <param name="batches">The batches of the run.</param>
    /// <param name="available">Bytes of memory that can be had.</param>
    /// <param name="freeDisk">Bytes free on the disk of the output.</param>
    /// <exception cref="UserInputException">The run does not fit in any way; the message says what the smallest needs.</exception>
    public static MemoryPlan Make(MemoryDemand demand, IEnumerable<TokenBatch> batches, long available, long freeDisk)
    {
        var engine = demand.Engine;
        var limit = LimitOf(engine, available);
        if ((engine.Stream || engine.StateInFile) && !demand.CanStream)
            throw new UserInputException(
                "engine.stream and engine.stateInFile need the shared path with its cache, a few trained matrices and the CPU; leave them "
                    + "false here."
            );
        var texts = BatchSizes.Of(batches);
        var pays =
            engine.Path == EnginePath.Shared
            && demand is { ToOutput: false, TrainsEmbedding: false, OfStates: true }
            && (engine.Cache == CacheUse.On || (engine.Cache == CacheUse.Auto && (texts.ComeAgain || engine.CacheDirectory is not null)));
        MemoryPlan Plan(bool streamed, bool inFile, bool cached) => Of(demand, texts, limit, streamed, inFile, cached);
        List<MemoryPlan> plans = [];
        if (!engine.Stream && pays) plans.Add(Plan(streamed: false, engine.StateInFile, cached: true));
        if (!engine.Stream && (engine.Cache != CacheUse.On || !pays)) plans.Add(Plan(streamed: false, engine.StateInFile, cached: false));
        if (demand.CanStream && !engine.StateInFile) plans.Add(Plan(streamed: true, inFile: false, cached: true));
        if (demand.CanStream) plans.Add(Plan(streamed: true, inFile: true, cached: true));

        bool FitsOnDisk(MemoryPlan plan) => plan.CacheBytes - plan.CacheMemory <= freeDisk * UsableShare;
        if (plans.FirstOrDefault(plan => plan.Predicted <= limit && FitsOnDisk(plan)) is { } chosen) return chosen;
        // What the machine has to spare is an estimate; a limit that was set is kept.
        if (engine.MemoryLimit is null && FitsOnDisk(plans[^1])) return plans[^1];
        var least = plans.MinBy(plan => plan.Predicted)!;
        var onDisk = least.CacheBytes - least.CacheMemory;
        throw new UserInputException(
            $"The run needs at least {PeakMemory.Text(least.Predicted)} of memory, the limit is {PeakMemory.Text(limit)}"
                + (onDisk > 0 ? $" (and {PeakMemory.Text(onDisk)} of disk, {PeakMemory.Text(freeDisk)} are free)" : "")
                + ". Raise --memory-limit, lower data.batchSize, engine.microBatchTokens or layers.trained, or use --dtype bfloat16."
        );
    }

    private static MemoryPlan Of(MemoryDemand demand, BatchSizes texts, long limit, bool streamed, bool inFile, bool cached)
    {
        var sizes = WeightNames
            .Expected(demand.Model)
            .ToDictionary(item => item.Name, item => item.Shape.Aggregate(1L, (product, size) => product * size));
        long Weights(Func<string, bool> include) => sizes.Where(item => include(item.Key)).Sum(item => item.Value) * demand.Element;
        var layer = new[]
        {
            Weights(name => WeightNames.LayerOf(name) == 0),
            Weights(WeightNames.IsEmbedding),
            Weights(name => WeightNames.LayerOf(name) == WeightNames.AboveLayers),
        }.Max();
        var (lowest, startsAtDown) = (demand.Lowest, demand.StartsAtDown);
        // In memory all that the passes reach; streamed the untrained tensors of the layers that every step runs.
        var weights = !streamed
            ? Weights(name => demand.WholeModel || demand.TrainsEmbedding || TrainedParameters.LayerOf(name) <= demand.Target)
            : Weights(name =>
                TrainedParameters.LayerOf(name) is var at
                && at >= lowest
                && at <= demand.Target
                && !demand.Trained.Contains(name)
                && !(startsAtDown && at == lowest)
            );
        var trained = demand.Trained.Sum(name => sizes[name]);
        var leaves = demand.Compute.DType == float32 ? 0 : trained * demand.Element;
        var masters = trained * sizeof(float);
        var moments = trained * sizeof(float) * demand.Moments;
        var part = demand.Engine.MicroBatchTokens > 0 ? Math.Min(texts.Longest, demand.Engine.MicroBatchTokens) : texts.Longest;
        var (step, pass) = (demand.StepBytes(part), demand.PassBytes());
        Dictionary<string, long> parts = new()
        {
            ["program"] = Program,
            ["weights"] = weights,
            ["teacher"] = demand.TeacherParameters * demand.Element,
            ["leaves"] = leaves,
            ["masters and moments"] = inFile ? leaves == 0 ? masters : 0 : masters + moments,
            ["gradients"] = 2 * trained * (part < texts.Longest ? sizeof(float) : demand.Element),
            ["a step"] = streamed ? step : Math.Max(step, pass),
        };
        if (streamed && demand.Needs.HasFlag(PassNeeds.LayersAbove)) parts["a layer above"] = layer; // looked at in every step
        var training = parts.Values.Sum();
        var passing = streamed ? Program + layer + (512L << 20) + pass + (inFile ? 0 : masters + moments) + leaves : 0;
        var peak = Math.Max(training, passing);
        if (!cached) return new MemoryPlan(limit, streamed, inFile, false, 0, 0, peak, parts);
        var cacheBytes = texts.KeptTokens * ActivationCache.BytesPerToken(demand.Model, startsAtDown, demand.Compute.DType);
        var budget = Math.Max(0, Math.Min(demand.Engine.CacheMemory ?? limit / 4, limit - peak));
        parts["activations"] = Math.Min(cacheBytes, budget);
        return new MemoryPlan(limit, streamed, inFile, true, cacheBytes, budget, peak + Math.Min(cacheBytes, budget), parts);
    }

    /// <summary>The sizes of a run's batches in tokens.</summary>
    /// <param name="Longest">Padded tokens of the longest batch.</param>
    /// <param name="KeptTokens">Tokens of all different texts, whose activations would be kept.</param>
    /// <param name="ComeAgain">Whether texts repeat often enough to make keeping their activations worthwhile.</param>
    private sealed record BatchSizes(long Longest, long KeptTokens, bool ComeAgain)
    {
        public static BatchSizes Of(IEnumerable<TokenBatch> batches)
        {
            long tokens = 0, visited = 0, longest = 0, distinct = 0;
            HashSet<int[]> seen = new(TokenSequence.Comparer);
            foreach (var batch in batches)
            {
                var padded = (long)batch.Rows * batch.Length;
                longest = Math.Max(longest, padded);
                visited += batch.TokenCount;
                // A left-padded batch is kept as a whole: its padding attends to its texts.
                var leftPadded = batch.Side == PaddingSide.Left && batch.IsPadded;
                foreach (var key in leftPadded ? [TokenSequence.Of(batch)] : batch.Sequences)
                    if (seen.Add(key)) (tokens, distinct) = (tokens + (leftPadded ? padded : key.Length), distinct + key.Length);
            }

            return new BatchSizes(longest, tokens, visited >= 2 * distinct);
        }
    }
}
