using Falcon.Models.Families;
using static TorchSharp.torch;

namespace Falcon.Models;

/// <summary>
/// What the query of a padding position attends to, since it may see no key. The outputs of real tokens are the same either way.
/// </summary>
public enum PaddingRows
{
    /// <summary>
    /// All keys equally, future ones included, as in transformers' "eager" attention, whose mask is the most negative finite number.
    /// </summary>
    Uniform,

    /// <summary>All keys by their scores, as if nothing were masked, as in transformers' fused attention on CUDA.</summary>
    Unmasked,
}

/// <summary>
/// What all layers of one forward pass share: the rotary tables, the positions and the attention mask of a batch. Owns its tensors.
/// </summary>
public sealed class AttentionContext : IDisposable
{
    private readonly Dictionary<RopeConfig, (Tensor Cos, Tensor Sin)> _rotations = new(ReferenceEqualityComparer.Instance);
    private readonly Dictionary<int, Tensor?> _masks = [];
    private readonly Tensor? _padding; // [B, K] bool, true for real tokens; null without left padding
    private readonly PaddingRows _paddingRows;
    private readonly long _queries;
    private readonly long _keys;
    private readonly ScalarType _dtype;
    private readonly Device _device;

    private AttentionContext(
        ModelConfig config,
        Tensor positions,
        IReadOnlyList<long> lengths,
        ScalarType dtype,
        Tensor? padding,
        PaddingRows paddingRows,
        long keys
    )
    {
        _padding = padding?.DetachFromDisposeScope();
        _paddingRows = paddingRows;
        (_queries, _keys) = (positions.shape[^1], keys);
        (_dtype, _device) = (dtype, positions.device);
        foreach (var rope in config.Ropes)
        {
            if (rope is null || _rotations.ContainsKey(rope)) continue;
            var (cos, sin) = RotaryEmbedding.Tables(rope, config.HeadSize, positions, dtype, lengths);
            _rotations.Add(rope, (cos.DetachFromDisposeScope(), sin.DetachFromDisposeScope()));
        }

        if (config.Architecture.PositionEmbedding is not null) Positions = positions.alias().DetachFromDisposeScope();
    }

    /// <summary>Positions [T] or [B, T] for a model with a learned position embedding; null for others.</summary>
    internal Tensor? Positions { get; }

    /// <summary>The cos and sin tables of a layer with this rotation.</summary>
    internal (Tensor Cos, Tensor Sin) Rotation(RopeConfig rope) => _rotations[rope];

    /// <summary>Whether a query may see no key at all, so that its row of the mask is uniform.</summary>
    internal bool HasEmptyRows => _padding is not null && _paddingRows == PaddingRows.Uniform;

    /// <summary>
    /// A causal pass over sequences of <paramref name="length"/> tokens. Padding, if any, is on the right: no real token sees it, so no
    /// mask is needed.
    /// </summary>
    /// <param name="config">The architecture.</param>
    /// <param name="length">T, padding included.</param>
    /// <param name="dtype">Compute dtype.</param>
    /// <param name="device">Where the model is.</param>
    /// <param name="lengths">
    /// Length of each text without padding; null when none is padded. Only rotations that depend on the text length use it.
    /// </param>
    public static AttentionContext Causal(
        ModelConfig config,
        long length,
        ScalarType dtype,
        Device device,
        IReadOnlyList<long>? lengths = null
    )
    {
        using var positions = arange(length, int64, device);
        return new AttentionContext(config, positions, lengths ?? [length], dtype, null, PaddingRows.Uniform, length);
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
        return new AttentionContext(config, positions, [length], dtype, attentionMask.to(@bool), paddingRows, length);
    }

    /// <summary>A pass over new tokens that attend to cached keys.</summary>
    /// <param name="config">The architecture.</param>
    /// <param name="positions">[B, T] positions of the new tokens.</param>
    /// <param name="visible">[B, K] true for real tokens among all keys, the new ones included.</param>
    /// <param name="dtype">Compute dtype.</param>
    internal static AttentionContext Continued(ModelConfig config, Tensor positions, Tensor visible, ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        long[] lengths = config.RotationDependsOnLength ? visible.sum(1).cpu().data<long>().ToArray() : [visible.shape[1]];
        return new AttentionContext(config, positions, lengths, dtype, visible.alias(), PaddingRows.Uniform, visible.shape[1]);
    }

    /// <summary>
    /// The additive mask [B or 1, 1, T, K] for a layer with this window; null when the causal kernel gives the same result and
    /// <paramref name="always"/> is not set.
    /// </summary>
    internal Tensor? Mask(int? window, bool always = false)
    {
        var effective = window is { } size && size < _keys ? size : 0;
        if (_masks.TryGetValue(effective, out var mask) && (mask is not null || !always)) return mask;
        mask = !always && _padding is null && effective == 0 && _queries == _keys ? null : Build(effective);
        _masks[effective] = mask;
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
        // The most negative finite number, so that a row without any key becomes uniform.
        var lowest = _dtype == float16 ? -65504.0 : -3.3895e38;
        var mask = zeros(allowed.shape, _dtype, _device).masked_fill(allowed.logical_not(), lowest);
        return mask.DetachFromDisposeScope();
    }

    /// <summary>Releases the tables and masks.</summary>
    public void Dispose()
    {
        foreach (var (cos, sin) in _rotations.Values)
        {
            cos.Dispose();
            sin.Dispose();
        }

        Positions?.Dispose();
        _padding?.Dispose();
        foreach (var mask in _masks.Values) mask?.Dispose();
    }
}
