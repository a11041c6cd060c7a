using Falcon.Checkpoints.Safetensors;
using Falcon.Models;
using Falcon.Models.Families;
using Falcon.Runs.Configuration;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Engine;

/// <summary>
/// What a run will hold in memory, predicted from the shapes before anything is loaded, and the way of running that follows from it.
/// </summary>
/// <param name="Limit">Bytes of resident memory that the run may take.</param>
/// <param name="Streamed">Whether the frozen model is read layer by layer; else it stays in memory.</param>
/// <param name="StateInFile">Whether masters and moments lie in a file.</param>
/// <param name="Cached">Whether what the frozen model makes of the texts is kept.</param>
/// <param name="CacheBytes">Bytes that it takes; 0 without.</param>
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
    private const long Program = 380L << 20;
    private const double FileShare = 0.9;

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
    /// <param name="config">Settings of the run.</param>
    /// <param name="model">The architecture.</param>
    /// <param name="compute">Compute dtype.</param>
    /// <param name="target">The target layer; where it is not chosen yet, the highest possible one.</param>
    /// <param name="wholeModel">Whether the whole model is needed, for measuring before and after.</param>
    /// <param name="batches">The batches of the run.</param>
    /// <param name="available">Bytes of memory that can be had.</param>
    /// <param name="freeDisk">Bytes free on the disk of the output.</param>
    /// <param name="teacherParameters">Parameters of a model beside it whose outputs are kept; 0 without.</param>
    /// <exception cref="UserInputException">The run does not fit in any way; the message says what the smallest needs.</exception>
    public static MemoryPlan Make(
        UnlearnConfig config,
        ModelConfig model,
        ComputeOptions compute,
        int target,
        bool wholeModel,
        IEnumerable<TokenBatch> batches,
        long available,
        long freeDisk,
        long teacherParameters = 0
    )
    {
        var engine = config.Engine;
        var limit = engine.MemoryLimit ?? (long)(available * FileShare);
        var names = TrainedParameters.Select(
            model,
            target,
            config.Layers.Trained,
            config.Layers.Parameters,
            config.Layers.RebuiltAbove,
            config.Layers.RebuiltEmbedding
        );
        var sizes = WeightNames
            .Expected(model)
            .ToDictionary(item => item.Name, item => item.Shape.Aggregate(1L, (product, size) => product * size));
        long element = TensorBytes.ElementSize(compute.DType);
        long Weights(Func<string, bool> include) => sizes.Where(item => include(item.Key)).Sum(item => item.Value) * element;
        var trainedCount = names.Sum(name => sizes[name]);
        var wholeTraining = names.Any(WeightNames.IsEmbedding);
        var lowest = names.Min(TrainedParameters.LayerOf);
        var toOutput = config.Loss.Retain != RetainLossKind.HiddenStates; // runs all layers with gradient
        var startsAtDown = TrainedParameters.AreDownProjectionsAt(names, lowest);

        long tokens = 0, visited = 0, longestBatch = 0, distinct = 0;
        HashSet<int[]> seen = new(TokenSequence.Comparer);
        foreach (var batch in batches)
        {
            longestBatch = Math.Max(longestBatch, (long)batch.Rows * batch.Length);
            visited += batch.TokenCount;
            var leftPadded = batch.Side == PaddingSide.Left && batch.IsPadded;
            foreach (var key in leftPadded ? [TokenSequence.Of(batch)] : batch.Sequences)
                if (seen.Add(key))
                    (tokens, distinct) = (tokens + (leftPadded ? (long)batch.Rows * batch.Length : key.Length), distinct + key.Length);
        }

        var cacheBytes = tokens * ActivationCache.BytesPerToken(model, startsAtDown, compute.DType);
        var microBatch = engine.MicroBatchTokens > 0 ? Math.Min(longestBatch, engine.MicroBatchTokens) : longestBatch;
        var leaves = compute.DType == float32 ? 0 : trainedCount * element;
        var masters = trainedCount * sizeof(float);
        var moments = trainedCount * sizeof(float) * 2 + (config.Optimizer.Kind == OptimizerKind.Sophia ? trainedCount * sizeof(float) : 0);
        var gradients = 2 * trainedCount * (microBatch < longestBatch ? sizeof(float) : element);
        // Methods that look at likelihoods run all layers with gradient and hold the logits and their softmax in float32.
        var ofActivations = MethodRules.UsesTargetLayer(config.Method);
        var step =
            microBatch
            * (
                ofActivations
                    ? SavedBytesPerToken(model, element, Math.Max(0, lowest), toOutput ? model.LayerCount - 1 : target, startsAtDown)
                        + (toOutput ? 4L * sizeof(float) * model.VocabularySize : 0)
                    : SavedBytesPerToken(model, element, 0, model.LayerCount - 1, false) + 4L * sizeof(float) * model.VocabularySize
            );
        var pass = WorkBytes(model, element, wholeModel);
        var layer = new[]
        {
            Weights(name => WeightNames.LayerOf(name) == 0),
            Weights(WeightNames.IsEmbedding),
            Weights(name => WeightNames.LayerOf(name) == WeightNames.AboveLayers),
        }.Max();

        MemoryPlan Plan(bool streamed, bool inFile, bool cached)
        {
            var weights = !streamed
                ? Weights(name => wholeModel || wholeTraining || TrainedParameters.LayerOf(name) <= target)
                : Weights(name =>
                    TrainedParameters.LayerOf(name) is var at
                    && at >= lowest
                    && at <= target
                    && !names.Contains(name)
                    && !(startsAtDown && at == lowest)
                );
            Dictionary<string, long> parts = new()
            {
                ["program"] = Program,
                ["weights"] = weights,
                ["teacher"] = teacherParameters * element,
                ["leaves"] = leaves,
                ["masters and moments"] = inFile ? leaves == 0 ? masters : 0 : masters + moments,
                ["gradients"] = gradients,
                ["a step"] = step,
            };
            if (!streamed)
                parts["a step"] = Math.Max(step, pass);
            if (streamed && config.Loss.Bound != ForgetBoundKind.None)
                parts["a layer above"] = layer; // the bound looks at answers in every step
            var training = parts.Values.Sum();
            var passing = streamed ? Program + layer + (512L << 20) + pass + (inFile ? 0 : masters + moments) + leaves : 0;
            var budget = Math.Max(0, Math.Min(engine.CacheMemory ?? limit / 4, limit - Math.Max(training, passing)));
            if (cached)
                parts["activations"] = Math.Min(cacheBytes, budget);
            return new MemoryPlan(
                limit,
                streamed,
                inFile,
                cached,
                cached ? cacheBytes : 0,
                cached ? budget : 0,
                Math.Max(training, passing) + (cached ? Math.Min(cacheBytes, budget) : 0),
                parts
            );
        }

        bool Fits(MemoryPlan plan) => plan.Predicted <= limit && plan.CacheBytes - plan.CacheMemory <= freeDisk * FileShare;
        var pays =
            engine.Path == EnginePath.Shared
            && !toOutput
            && !wholeTraining
            && ofActivations
            && (
                engine.Cache == CacheUse.On
                || (engine.Cache == CacheUse.Auto && (visited >= 2 * distinct || engine.CacheDirectory is not null) && lowest >= 0)
            );
        var canStream =
            !wholeTraining
            && ofActivations
            && !toOutput
            && engine.Cache != CacheUse.Off
            && engine.Path == EnginePath.Shared
            && compute.Device.type == TorchSharp.DeviceType.CPU;
        if ((engine.Stream || engine.StateInFile) && !canStream)
            throw new UserInputException(
                "engine.stream and engine.stateInFile need the shared path with its cache, a few trained matrices and the CPU; leave them "
                    + "false here."
            );
        List<MemoryPlan> plans = [];
        if (!engine.Stream && pays) plans.Add(Plan(streamed: false, engine.StateInFile, cached: true));
        if (!engine.Stream && (engine.Cache != CacheUse.On || !pays)) plans.Add(Plan(streamed: false, engine.StateInFile, cached: false));
        if (canStream && !engine.StateInFile) plans.Add(Plan(streamed: true, inFile: false, cached: true));
        if (canStream) plans.Add(Plan(streamed: true, inFile: true, cached: true));

        if (plans.FirstOrDefault(Fits) is { } chosen) return chosen;
        // What the machine has to spare is an estimate; a limit that was set is kept.
        if (engine.MemoryLimit is null && plans[^1].CacheBytes - plans[^1].CacheMemory <= freeDisk * FileShare) return plans[^1];
        var least = plans.MinBy(plan => plan.Predicted)!;
        throw new UserInputException(
            $"The run needs at least {PeakMemory.Text(least.Predicted)} of memory, the limit is {PeakMemory.Text(limit)}"
                + (
                    least.CacheBytes > least.CacheMemory
                        ? $" (and {PeakMemory.Text(least.CacheBytes - least.CacheMemory)} of disk, {PeakMemory.Text(freeDisk)} are free)"
                        : ""
                )
                + ". Raise --memory-limit, lower data.batchSize, engine.microBatchTokens or layers.trained, or use --dtype bfloat16."
        );
    }

    // What the backward pass keeps of every token: four intermediate tensors of the MLP, the projections of attention, and float32 copies
    // in the norms.
    private static long SavedBytesPerToken(ModelConfig model, long element, int lowest, int target, bool startsAtDown)
    {
        long hidden = model.HiddenSize, inner = model.IntermediateSize, queries = (long)model.HeadCount * model.HeadSize;
        var layer = element * (4 * inner + 6 * hidden + 5 * queries) + 2 * sizeof(float) * 2 * hidden;
        var losses = 8 * sizeof(float) * hidden; // float32 copies of anchor, frozen and their normalised forms
        return startsAtDown ? element * (inner + 2 * hidden) + (target - lowest) * layer + losses : (target - lowest + 1) * layer + losses;
    }

    // A forward pass without gradient over the largest batches that are made (8192 tokens), and the logits of a part of them.
    private static long WorkBytes(ModelConfig model, long element, bool withHead) =>
        8192 * element * (2L * model.IntermediateSize + 4L * model.HiddenSize) + (withHead ? 3L << 27 : 0);
}
