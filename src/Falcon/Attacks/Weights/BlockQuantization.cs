using static TorchSharp.torch;

namespace Falcon.Attacks.Weights;

/// <summary>A format that stores weights in few bits.</summary>
internal enum QuantizationScheme
{
    /// <summary>8 bits, one scale for each row.</summary>
    Int8,

    /// <summary>4 bits, one scale for each row.</summary>
    Int4,

    /// <summary>4 bits, the 16 levels of normal-float, one scale for each 64 consecutive weights.</summary>
    NormalFloat4,
}

/// <summary>
/// Weights rounded to few bits and back. Rows: c = round(w / s), s = max |w| of the output row / (2^(b-1) - 1), w' = c s.
/// Normal-float: the nearest of 16 levels times the largest |w| of the block (Dettmers et al. 2023, arXiv 2305.14314, appendix E); the
/// scales stay exact.
/// </summary>
internal static class BlockQuantization
{
    /// <summary>Weights that share a scale under <see cref="QuantizationScheme.NormalFloat4"/>.</summary>
    public const int BlockSize = 64;

    private const float SmallestScale = 1e-30f; // rows of zeros stay zeros

    private static readonly float[] Levels =
    [
        -1f, -0.6961928f, -0.52507305f, -0.3949175f, -0.28444138f, -0.18477343f, -0.091050036f, 0f,
        0.0795803f, 0.1609302f, 0.2461123f, 0.33791524f, 0.44070983f, 0.562617f, 0.72295684f, 1f,
    ];

    /// <summary>Rounds a matrix.</summary>
    /// <param name="weight">[O, I], any floating type, borrowed.</param>
    /// <param name="scheme">The scheme.</param>
    /// <returns>Codes [O, I], float32 whole numbers, and the weights they stand for [O, I], float32.</returns>
    public static (Tensor Codes, Tensor Values) Apply(Tensor weight, QuantizationScheme scheme)
    {
        using var guard = no_grad();
        using var scope = NewDisposeScope();
        var (codes, values) = scheme switch
        {
            QuantizationScheme.Int8 => ByRows(weight.to(float32), 127),
            QuantizationScheme.Int4 => ByRows(weight.to(float32), 7),
            _ => ByBlocks(weight.to(float32)),
        };
        return (codes.MoveToOuterDisposeScope(), values.MoveToOuterDisposeScope());
    }

    /// <summary>Number of weights that differ between two matrices, and how many of those have different codes.</summary>
    public static (long Edited, long Flipped) BucketFlips(Tensor original, Tensor edited, QuantizationScheme scheme)
    {
        using var guard = no_grad();
        using var scope = NewDisposeScope();
        var differs = original.ne(edited);
        var flips = Apply(original, scheme).Codes.ne(Apply(edited, scheme).Codes).logical_and(differs);
        return (differs.sum().item<long>(), flips.sum().item<long>());
    }

    private static (Tensor Codes, Tensor Values) ByRows(Tensor weight, int largest)
    {
        var scale = weight.abs().amax([1], true).clamp_min(SmallestScale) / largest; // [O, 1]
        var codes = (weight / scale).round();
        return (codes, codes * scale);
    }

    private static (Tensor Codes, Tensor Values) ByBlocks(Tensor weight)
    {
        var count = weight.numel();
        var blocks = (count + BlockSize - 1) / BlockSize;
        var padded = cat([weight.reshape(-1), zeros([blocks * BlockSize - count], float32, weight.device)]).view(blocks, BlockSize);
        var scale = padded.abs().amax([1], true).clamp_min(SmallestScale); // [blocks, 1]
        var levels = tensor(Levels, float32, weight.device);
        var borders = (levels[1..] + levels[..^1]) / 2;
        var codes = bucketize((padded / scale).contiguous(), borders);
        var values = levels.index_select(0, codes.reshape(-1)).view(blocks, BlockSize) * scale;
        return (
            codes.to(float32).reshape(-1).narrow(0, 0, count).view(weight.shape),
            values.reshape(-1).narrow(0, 0, count).view(weight.shape)
        );
    }
}
