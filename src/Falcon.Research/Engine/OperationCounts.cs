using Falcon.Models.Families;

namespace Falcon.Research.Engine;

/// <summary>
/// Floating-point operations of one unlearning step (2 for each multiply-add) for a shape: every matrix product and causal attention,
/// forward and backward; norms and losses are left out.
/// </summary>
/// <param name="LayerForward">One forward pass of one layer over one batch: the unit of the method's budget.</param>
/// <param name="Head">Final output head over one batch.</param>
/// <param name="Baseline">
/// The authors' step: four whole forward passes, two backward passes to the embeddings with gradients of every weight.
/// </param>
/// <param name="Uncached">Ours without caches.</param>
/// <param name="Cached">Ours with the prefix and the frozen activations at hand.</param>
public sealed record OperationCounts(double LayerForward, double Head, double Baseline, double Uncached, double Cached)
{
    private const int Batches = 2; // forget and retain

    /// <summary>Baseline over ours without and with caches: how many times less there is to compute.</summary>
    public (double Uncached, double Cached) Ratio => (Baseline / Uncached, Baseline / Cached);

    /// <summary>Counts a step that trains <c>mlp.down_proj</c> of layers lowest to target.</summary>
    /// <param name="model">The architecture.</param>
    /// <param name="rows">B, texts of a batch.</param>
    /// <param name="length">T, tokens of a text.</param>
    /// <param name="target">The layer whose output enters the losses.</param>
    /// <param name="lowest">The lowest trained layer.</param>
    public static OperationCounts Of(ModelConfig model, int rows, int length, int target, int lowest)
    {
        double tokens = (double)rows * length, hidden = model.HiddenSize, inner = model.IntermediateSize;
        double queries = (double)model.HeadCount * model.HeadSize, keys = (double)model.KeyValueHeadCount * model.HeadSize;
        var down = 2 * tokens * hidden * inner;
        var linear = 2 * tokens * hidden * (2 * queries + 2 * keys) + 3 * down;
        var attention = 2 * 2 * rows * queries * length * (length + 1) / 2; // scores and weighted sum, the causal half
        var layer = linear + attention;
        var head = 2 * tokens * hidden * model.VocabularySize;
        const double attentionBackward = 2.5; // five products against two, as the fused kernel computes the scores again

        // Backward with every weight: gradient of the input and of the weight, each as much as the forward product.
        var backwardAll = (target + 1) * (2 * linear + attentionBackward * attention);
        var baseline = Batches * (2 * (model.LayerCount * layer + head) + backwardAll);

        var suffixLayers = target - lowest;
        var suffix = down + suffixLayers * layer;
        // Only inputs of the layers above the lowest, and the weight of each trained matrix.
        var backward = down + suffixLayers * (linear + attentionBackward * attention + down);
        var prefix = lowest * layer + layer - down;
        return new OperationCounts(layer, head, baseline, Batches * (prefix + suffix + suffix + backward), Batches * (suffix + backward));
    }
}
