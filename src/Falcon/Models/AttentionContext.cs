using static TorchSharp.torch;

namespace Falcon.Models;

/// <summary>What a query at a padding position, which may see nothing, attends to. Real tokens are the same under each.</summary>
public enum PaddingRows
{
    /// <summary>All keys alike, future ones included: transformers' plain ("eager") attention, whose mask is the most negative finite number.</summary>
    Uniform,

    /// <summary>All keys by their scores, as if unmasked: transformers' fused attention on CUDA.</summary>
    Unmasked,
}

/// <summary>
/// What every layer of one forward pass shares: rotary tables and the attention mask of a batch. Owns its tensors.
/// </summary>
public sealed class AttentionContext : IDisposable
{
    private readonly Dictionary<int, Tensor?> _masks = [];
    private readonly Tensor? _padding; // [B, K] bool, true = real token; null when nothing is padded on the left
    private readonly PaddingRows _paddingRows;
    private readonly long _queries;
    private readonly long _keys;
    private readonly ScalarType _dtype;
    private readonly Device _device;

    private AttentionContext(Tensor cos, Tensor sin, Tensor? padding, PaddingRows paddingRows, long queries, long keys)
    {
        (Cos, Sin, _padding, _paddingRows, _queries, _keys, _dtype, _device) = (cos.DetachFromDisposeScope(), sin.DetachFromDisposeScope(), padding?.DetachFromDisposeScope(), paddingRows, queries, keys, cos.dtype, cos.device);
    }

    internal Tensor Cos { get; }

    internal Tensor Sin { get; }

    /// <summary>Whether some query may see no key at all, so that its row of the mask is uniform.</summary>
    internal bool HasEmptyRows => _padding is not null && _paddingRows == PaddingRows.Uniform;

    /// <summary>A causal pass over sequences of <paramref name="length"/> tokens whose padding, if any, is on the right: no real token sees it, so no mask is needed.</summary>
    public static AttentionContext Causal(ModelConfig config, long length, ScalarType dtype, Device device)
    {
        using var positions = arange(length, int64, device);
        var (cos, sin) = RotaryEmbedding.Tables(config.Rope, config.HeadSize, positions, dtype);
        return new AttentionContext(cos, sin, null, PaddingRows.Uniform, length, length);
    }

    /// <summary>A causal pass over left-padded sequences; positions count from 0 at the first column, padding included.</summary>
    /// <param name="config">The architecture.</param>
    /// <param name="attentionMask">[B, T], 1 or true for real tokens.</param>
    /// <param name="dtype">Compute dtype.</param>
    /// <param name="paddingRows">What padding positions attend to.</param>
    public static AttentionContext LeftPadded(ModelConfig config, Tensor attentionMask, ScalarType dtype, PaddingRows paddingRows)
    {
        var length = attentionMask.shape[1];
        using var positions = arange(length, int64, attentionMask.device);
        var (cos, sin) = RotaryEmbedding.Tables(config.Rope, config.HeadSize, positions, dtype);
        return new AttentionContext(cos, sin, attentionMask.to(@bool), paddingRows, length, length);
    }

    /// <summary>A pass over new tokens that see cached keys: positions and the visible keys are given.</summary>
    /// <param name="config">The architecture.</param>
    /// <param name="positions">[B, T] positions of the new tokens.</param>
    /// <param name="visible">[B, K] true for real tokens among all keys, the new ones included.</param>
    /// <param name="dtype">Compute dtype.</param>
    internal static AttentionContext Continued(ModelConfig config, Tensor positions, Tensor visible, ScalarType dtype)
    {
        var (cos, sin) = RotaryEmbedding.Tables(config.Rope, config.HeadSize, positions, dtype);
        return new AttentionContext(cos, sin, visible.alias(), PaddingRows.Uniform, positions.shape[1], visible.shape[1]);
    }

    /// <summary>The additive mask [B or 1, 1, T, K] for a layer with this window, or null when the plain causal kernel gives the same.</summary>
    internal Tensor? Mask(int? window)
    {
        var effective = window is { } size && size < _keys ? size : 0;
        if (_masks.TryGetValue(effective, out var mask)) return mask;
        mask = _padding is null && effective == 0 && _queries == _keys ? null : Build(effective);
        _masks.Add(effective, mask);
        return mask;
    }

    private Tensor Build(int window)
    {
        using var scope = NewDisposeScope();
        var rows = arange(_keys - _queries, _keys, 1, int64, _device).unsqueeze(1); // [T, 1]
        var columns = arange(_keys, int64, _device).unsqueeze(0); // [1, K]
        var allowed = columns.le(rows);
        if (window > 0) allowed = allowed.logical_and((rows - columns).lt(window));
        allowed = allowed.unsqueeze(0).unsqueeze(0); // [1, 1, T, K]
        if (_padding is not null) allowed = allowed.logical_and(_padding.unsqueeze(1).unsqueeze(1));
        if (_paddingRows == PaddingRows.Unmasked) allowed = allowed.logical_or(allowed.any(-1, true).logical_not());
        var most = _dtype == float16 ? -65504.0 : -3.3895e38; // the most negative finite number, so that a row without any key becomes uniform
        var mask = zeros(allowed.shape, _dtype, _device).masked_fill(allowed.logical_not(), most);
        return mask.DetachFromDisposeScope();
    }

    /// <summary>Releases the tables and masks.</summary>
    public void Dispose()
    {
        Cos.Dispose();
        Sin.Dispose();
        _padding?.Dispose();
        foreach (var mask in _masks.Values) mask?.Dispose();
    }
}
