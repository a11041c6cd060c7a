using static TorchSharp.torch;

namespace Falcon.Models;

/// <summary>
/// A decoder-only transformer (Llama, Mistral, Qwen2, Qwen3): embedding, layers of attention and MLP on a residual stream, final norm, output head.
/// </summary>
/// <remarks>
/// The model is a view: it borrows its weights and holds no state, so the frozen model and the model in training are two views of the same tensors
/// that differ in a handful of matrices (<see cref="With"/>), and a pass may stop at any layer.
/// Axis letters: B batch, T tokens, H hidden, A heads, D head width, V vocabulary.
/// </remarks>
public sealed class CausalLM
{
    private readonly IReadOnlyDictionary<string, Tensor> _weights;
    private readonly IReadOnlyDictionary<string, Tensor>? _replaced;

    /// <summary>A model over borrowed weights; those of some layers suffice as long as no other layer is run.</summary>
    public CausalLM(ModelConfig config, Weights weights) : this(config, weights.Tensors, null, weights.Tensors.Values.First().dtype, weights.Tensors.Values.First().device) { }

    /// <summary>The same where there may be no weight at all, because every one that runs is replaced.</summary>
    public CausalLM(ModelConfig config, Weights weights, ScalarType dtype, Device device) : this(config, weights.Tensors, null, dtype, device) { }

    /// <summary>A model over borrowed weights that are read layer by layer.</summary>
    public CausalLM(ModelConfig config, StreamedWeights weights) : this(config, weights, null, weights.DType, weights.Device) { }

    private CausalLM(ModelConfig config, IReadOnlyDictionary<string, Tensor> weights, IReadOnlyDictionary<string, Tensor>? replaced, ScalarType dtype, Device device) =>
        (Config, _weights, _replaced, DType, Device) = (config, weights, replaced, dtype, device);

    /// <summary>The architecture.</summary>
    public ModelConfig Config { get; }

    /// <summary>The dtype in which the layers compute.</summary>
    public ScalarType DType { get; }

    /// <summary>Where the weights are.</summary>
    public Device Device { get; }

    /// <summary>Whether the weights are read layer by layer, so that going through the layers once for many batches saves reading.</summary>
    public bool IsStreamed => _weights is StreamedWeights;

    /// <summary>The same model with some weights replaced by borrowed tensors, which must have the same dtype and shape.</summary>
    public CausalLM With(IReadOnlyDictionary<string, Tensor> replaced)
    {
        if (_replaced is null) return new CausalLM(Config, _weights, replaced, DType, Device);
        var all = new Dictionary<string, Tensor>(_replaced);
        foreach (var (name, tensor) in replaced) all[name] = tensor;
        return new CausalLM(Config, _weights, all, DType, Device);
    }

    /// <summary>A weight by its Hugging Face name; borrowed.</summary>
    /// <exception cref="KeyNotFoundException">The model has no such tensor, or its layer was not loaded.</exception>
    public Tensor Weight(string name) => _replaced is not null && _replaced.TryGetValue(name, out var tensor) ? tensor : _weights[name];

    private Tensor? Find(string name) => _replaced is not null && _replaced.TryGetValue(name, out var tensor) ? tensor : _weights.TryGetValue(name, out var own) ? own : null;

    /// <summary>A causal context for sequences of this length, padded on the right if at all.</summary>
    public AttentionContext Causal(long length) => AttentionContext.Causal(Config, length, DType, Device);

    /// <summary>A context for left-padded sequences.</summary>
    public AttentionContext LeftPadded(Tensor attentionMask, PaddingRows paddingRows = PaddingRows.Uniform) => AttentionContext.LeftPadded(Config, attentionMask, DType, paddingRows);

    /// <summary>Token ids [B, T] to the residual stream [B, T, H].</summary>
    public Tensor Embed(Tensor inputIds)
    {
        using var scope = NewDisposeScope();
        return Weight(WeightNames.Embedding).index_select(0, inputIds.reshape(-1)).view(inputIds.shape[0], inputIds.shape[1], Config.HiddenSize).MoveToOuterDisposeScope();
    }

    /// <summary>The residual stream [B, T, H] after layers <paramref name="first"/> to <paramref name="last"/>, both included.</summary>
    public Tensor Layers(Tensor hidden, int first, int last, AttentionContext context, KeyValueCache? cache = null)
    {
        using var scope = NewDisposeScope();
        var state = hidden;
        for (var layer = first; layer <= last; layer++) state = Layer(layer, state, context, cache);
        return (first > last ? hidden.alias() : state).MoveToOuterDisposeScope();
    }

    /// <summary>The residual stream [B, T, H] after <paramref name="layer"/> (0-based); nothing above it is computed.</summary>
    public Tensor HiddenStates(Tensor inputIds, int layer, AttentionContext context)
    {
        using var scope = NewDisposeScope();
        return Layers(Embed(inputIds), 0, layer, context).MoveToOuterDisposeScope();
    }

    /// <summary>Logits [B, T, V] for token ids [B, T].</summary>
    public Tensor Logits(Tensor inputIds, AttentionContext context, KeyValueCache? cache = null)
    {
        using var scope = NewDisposeScope();
        return Head(Layers(Embed(inputIds), 0, Config.LayerCount - 1, context, cache)).MoveToOuterDisposeScope();
    }

    /// <summary>Final norm and output head: residual stream [.., H] to logits [.., V].</summary>
    public Tensor Head(Tensor hidden)
    {
        using var scope = NewDisposeScope();
        var normalised = Norm(hidden, Weight(WeightNames.FinalNorm));
        var head = Weight(Config.TiedEmbeddings ? WeightNames.Embedding : WeightNames.Head);
        return nn.functional.linear(normalised, head).MoveToOuterDisposeScope();
    }

    /// <summary>One decoder layer on the residual stream [B, T, H].</summary>
    public Tensor Layer(int layer, Tensor hidden, AttentionContext context, KeyValueCache? cache = null)
    {
        using var scope = NewDisposeScope();
        var middle = AttentionBlock(layer, hidden, context, cache);
        return DownProjection(layer, middle, DownProjectionInput(layer, middle)).MoveToOuterDisposeScope();
    }

    /// <summary>First half of a layer: x + attention(norm(x)), [B, T, H].</summary>
    public Tensor AttentionBlock(int layer, Tensor hidden, AttentionContext context, KeyValueCache? cache = null)
    {
        using var scope = NewDisposeScope();
        long batch = hidden.shape[0], length = hidden.shape[1];
        var normalised = Norm(hidden, In(layer, "input_layernorm.weight"));
        var query = Heads(Linear(layer, "self_attn.q_proj", normalised), Config.HeadCount); // [B, A, T, D]
        var key = Heads(Linear(layer, "self_attn.k_proj", normalised), Config.KeyValueHeadCount);
        var value = Heads(Linear(layer, "self_attn.v_proj", normalised), Config.KeyValueHeadCount);
        if (Config.QueryKeyNorm)
        {
            query = Norm(query, In(layer, "self_attn.q_norm.weight"));
            key = Norm(key, In(layer, "self_attn.k_norm.weight"));
        }

        query = RotaryEmbedding.Rotate(query, context.Cos, context.Sin);
        key = RotaryEmbedding.Rotate(key, context.Cos, context.Sin);
        if (cache is not null) (key, value) = cache.Append(layer, key, value);
        var group = Config.HeadCount / Config.KeyValueHeadCount;
        if (group > 1) (key, value) = (Repeat(key, group), Repeat(value, group));
        var mask = context.Mask(Config.SlidingWindows[layer]);
        var attended = context.HasEmptyRows
            ? PlainAttention(query, key, value, mask!)
            : nn.functional.scaled_dot_product_attention(query, key, value, mask, 0, mask is null); // scale D^-1/2
        attended = attended.transpose(1, 2).reshape(batch, length, Config.HeadCount * Config.HeadSize);
        return (hidden + Linear(layer, "self_attn.o_proj", attended)).MoveToOuterDisposeScope();
    }

    /// <summary>What the down projection of a layer is applied to: silu(gate(norm(x))) * up(norm(x)), [B, T, I], x being the stream after attention.</summary>
    public Tensor DownProjectionInput(int layer, Tensor middle)
    {
        using var scope = NewDisposeScope();
        var normalised = Norm(middle, In(layer, "post_attention_layernorm.weight"));
        return (nn.functional.silu(Linear(layer, "mlp.gate_proj", normalised)) * Linear(layer, "mlp.up_proj", normalised)).MoveToOuterDisposeScope();
    }

    /// <summary>Second half of a layer: x + down(inner), [B, T, H].</summary>
    public Tensor DownProjection(int layer, Tensor middle, Tensor inner)
    {
        using var scope = NewDisposeScope();
        return (middle + Linear(layer, "mlp.down_proj", inner)).MoveToOuterDisposeScope();
    }

    private Tensor In(int layer, string component) => Weight(WeightNames.InLayer(layer, component));

    private Tensor Linear(int layer, string module, Tensor input) =>
        nn.functional.linear(input, In(layer, module + ".weight"), Find(WeightNames.InLayer(layer, module + ".bias")));

    private Tensor Heads(Tensor projected, int heads) => projected.view(projected.shape[0], projected.shape[1], heads, Config.HeadSize).transpose(1, 2);

    private static Tensor Repeat(Tensor heads, int group)
    {
        using var scope = NewDisposeScope();
        var shape = heads.shape;
        return heads.unsqueeze(2).expand(shape[0], shape[1], group, shape[2], shape[3]).reshape(shape[0], shape[1] * group, shape[2], shape[3]).MoveToOuterDisposeScope();
    }

    // The fused kernel's backward pass recomputes the softmax from a log-sum, which loses the normalisation of rows that see nothing.
    private Tensor PlainAttention(Tensor query, Tensor key, Tensor value, Tensor mask)
    {
        using var scope = NewDisposeScope();
        var scores = query.matmul(key.transpose(2, 3)) / Math.Sqrt(Config.HeadSize) + mask; // [B, A, T, K]
        return nn.functional.softmax(scores.to(float32), -1).to(query.dtype).matmul(value).MoveToOuterDisposeScope();
    }

    // RMSNorm: mean square in float32, back to the compute dtype, then times the weight.
    private Tensor Norm(Tensor x, Tensor weight)
    {
        using var scope = NewDisposeScope();
        var wide = x.to(float32);
        var normalised = wide * (wide.pow(2).mean([-1L], true) + Config.NormEpsilon).rsqrt();
        return (normalised.to(x.dtype) * weight).MoveToOuterDisposeScope();
    }
}
