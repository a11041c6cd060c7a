using Falcon.Models.Families;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Models;

/// <summary>
/// A decoder-only transformer: embedding, layers of attention and MLP on a residual stream, final norm, output head, built as the
/// <see cref="ArchitectureDescription"/> of its family says.
/// </summary>
/// <remarks>
/// The model is a view: it borrows its weights and holds no state. The frozen model and the model in training are therefore two views of
/// the same tensors that differ in a few matrices (<see cref="With"/>), and a pass may stop at any layer. Axes: B batch, T tokens, H hidden
/// size, A heads, D head size, I inner size of the MLP, V vocabulary.
/// </remarks>
public sealed class CausalLM
{
    private readonly IReadOnlyDictionary<string, Tensor> _weights;
    private readonly IReadOnlyDictionary<string, Tensor>? _replaced;

    /// <summary>A model over borrowed weights; the weights of some layers suffice if no other layer is run.</summary>
    public CausalLM(ModelConfig config, Weights weights)
        : this(config, weights.Tensors, null, weights.Tensors.Values.First().dtype, weights.Tensors.Values.First().device) { }

    /// <summary>A model over borrowed weights that may be empty, since every weight that runs is replaced (<see cref="With"/>).</summary>
    public CausalLM(ModelConfig config, Weights weights, ScalarType dtype, Device device)
        : this(config, weights.Tensors, null, dtype, device) { }

    /// <summary>A model over borrowed weights that are read layer by layer.</summary>
    public CausalLM(ModelConfig config, StreamedWeights weights)
        : this(config, weights, null, weights.DType, weights.Device) { }

    private CausalLM(
        ModelConfig config,
        IReadOnlyDictionary<string, Tensor> weights,
        IReadOnlyDictionary<string, Tensor>? replaced,
        ScalarType dtype,
        Device device
    ) => (Config, _weights, _replaced, DType, Device) = (config, weights, replaced, dtype, device);

    /// <summary>The architecture.</summary>
    public ModelConfig Config { get; }

    /// <summary>The dtype in which the layers compute.</summary>
    public ScalarType DType { get; }

    /// <summary>Where the weights are.</summary>
    public Device Device { get; }

    /// <summary>
    /// Whether the weights are read layer by layer, so that running many batches through one layer at a time saves reading.
    /// </summary>
    public bool IsStreamed => _weights is StreamedWeights;

    /// <summary>The same model with some weights replaced by borrowed tensors of the same dtype and shape.</summary>
    /// <param name="replaced">The new tensors by name.</param>
    public CausalLM With(IReadOnlyDictionary<string, Tensor> replaced)
    {
        if (_replaced is null) return new CausalLM(Config, _weights, replaced, DType, Device);
        var all = new Dictionary<string, Tensor>(_replaced);
        foreach (var (name, tensor) in replaced) all[name] = tensor;
        return new CausalLM(Config, _weights, all, DType, Device);
    }

    /// <summary>A weight by its Hugging Face name; borrowed.</summary>
    /// <exception cref="KeyNotFoundException">There is no such tensor, or its layer was not loaded.</exception>
    public Tensor Weight(string name) => _replaced is not null && _replaced.TryGetValue(name, out var tensor) ? tensor : _weights[name];

    private Tensor? Find(string name) =>
        _replaced is not null && _replaced.TryGetValue(name, out var tensor) ? tensor
        : _weights.TryGetValue(name, out var own) ? own
        : null;

    /// <summary>
    /// A causal context for sequences of this length, padded on the right if at all. Their lengths without padding matter only for
    /// rotations that depend on the text length.
    /// </summary>
    public AttentionContext Causal(long length, IReadOnlyList<long>? lengths = null) =>
        AttentionContext.Causal(Config, length, DType, Device, lengths);

    /// <summary>A context for left-padded sequences.</summary>
    public AttentionContext LeftPadded(Tensor attentionMask, PaddingRows paddingRows = PaddingRows.Uniform) =>
        AttentionContext.LeftPadded(Config, attentionMask, DType, paddingRows);

    /// <summary>The residual stream [B, T, H] before the first layer, for token ids [B, T].</summary>
    /// <param name="inputIds">Token ids, int64.</param>
    /// <param name="positions">Positions [T] or [B, T] for a model with a learned position embedding; null counts from 0.</param>
    /// <exception cref="UserInputException">The text is longer than the learned position embedding.</exception>
    public Tensor Embed(Tensor inputIds, Tensor? positions = null)
    {
        using var scope = NewDisposeScope();
        return EmbedRows(EmbeddingRows(inputIds), positions).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// The rows [B, T, H] of the embedding matrix for token ids [B, T], as stored; <see cref="EmbedRows"/> turns them into the residual
    /// stream.
    /// </summary>
    public Tensor EmbeddingRows(Tensor inputIds)
    {
        using var scope = NewDisposeScope();
        return Weight(Names.EmbeddingWeight)
            .index_select(0, inputIds.reshape(-1))
            .view(inputIds.shape[0], inputIds.shape[1], Config.HiddenSize)
            .MoveToOuterDisposeScope();
    }

    /// <summary>
    /// The residual stream [B, T, H] before the first layer, for rows of the embedding matrix or mixtures of rows [B, T, H]: scaled, and
    /// with the position embedding added, if the family does so.
    /// </summary>
    /// <param name="rows">One row for each token.</param>
    /// <param name="positions">As for <see cref="Embed"/>.</param>
    /// <exception cref="UserInputException">The text is longer than the learned position embedding.</exception>
    public Tensor EmbedRows(Tensor rows, Tensor? positions = null)
    {
        using var scope = NewDisposeScope();
        long batch = rows.shape[0], length = rows.shape[1];
        var embedded = rows.alias();
        if (Names.ScaledEmbedding) embedded = embedded * tensor(Math.Sqrt(Config.HiddenSize)).to(DType).to(float64).item<double>();
        if (Names.PositionWeight is { } learned)
        {
            positions ??= arange(length, int64, Device);
            if (length > Config.MaxPositions || (positions.dim() == 2 && positions.max().item<long>() >= Config.MaxPositions))
                throw new UserInputException(
                    FormattableString.Invariant($"A text exceeds the {Config.MaxPositions} tokens of the model. ")
                        + "Shorten it or generate fewer tokens."
                );
            var learnedRows = Weight(learned).index_select(0, positions.reshape(-1));
            embedded = embedded + (positions.dim() == 2 ? learnedRows.view(batch, length, Config.HiddenSize) : learnedRows);
        }

        return embedded.MoveToOuterDisposeScope();
    }

    /// <summary>The residual stream [B, T, H] after layers <paramref name="first"/> to <paramref name="last"/>, both included.</summary>
    public Tensor Layers(Tensor hidden, int first, int last, AttentionContext context, KeyValueCache? cache = null)
    {
        using var scope = NewDisposeScope();
        var state = hidden;
        for (var layer = first; layer <= last; layer++) state = Layer(layer, state, context, cache);
        return (first > last ? hidden.alias() : state).MoveToOuterDisposeScope();
    }

    /// <summary>The residual stream [B, T, H] after <paramref name="layer"/> (from 0); nothing above it is computed.</summary>
    public Tensor HiddenStates(Tensor inputIds, int layer, AttentionContext context)
    {
        using var scope = NewDisposeScope();
        return Layers(Embed(inputIds), 0, layer, context).MoveToOuterDisposeScope();
    }

    /// <summary>Logits [B, T, V] for token ids [B, T].</summary>
    public Tensor Logits(Tensor inputIds, AttentionContext context, KeyValueCache? cache = null)
    {
        using var scope = NewDisposeScope();
        return Head(Layers(Embed(inputIds, context.Positions), 0, Config.LayerCount - 1, context, cache)).MoveToOuterDisposeScope();
    }

    /// <summary>The logits [.., V] of a residual stream [.., H]: final norm and output head.</summary>
    public Tensor Head(Tensor hidden)
    {
        using var scope = NewDisposeScope();
        var normalised = Norm(Names.FinalNorm, hidden);
        var logits = nn.functional.linear(normalised, Weight(Config.TiedEmbeddings ? Names.EmbeddingWeight : Names.HeadWeight));
        return (Config.LogitCap is { } cap ? DecoderFunctions.Capped(logits, cap) : logits).MoveToOuterDisposeScope();
    }

    /// <summary>One decoder layer: the residual stream [B, T, H] before it to the stream after it.</summary>
    public Tensor Layer(int layer, Tensor hidden, AttentionContext context, KeyValueCache? cache = null)
    {
        using var scope = NewDisposeScope();
        var (middle, inner) = BeforeDownProjection(layer, hidden, context, cache);
        return DownProjection(layer, middle, inner).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// A layer up to its down projection: the residual stream [B, T, H] that the MLP output is added to, and the input [B, T, I] of the
    /// down projection.
    /// </summary>
    public (Tensor Middle, Tensor Inner) BeforeDownProjection(
        int layer,
        Tensor hidden,
        AttentionContext context,
        KeyValueCache? cache = null
    )
    {
        using var scope = NewDisposeScope();
        var middle = AttentionBlock(layer, hidden, context, cache);
        var inner = DownProjectionInput(layer, Config.ParallelResidual ? hidden : middle);
        return (middle.MoveToOuterDisposeScope(), inner.MoveToOuterDisposeScope());
    }

    /// <summary>x + attention(norm(x)), [B, T, H]; the attention output is normalised first if the family does so.</summary>
    public Tensor AttentionBlock(int layer, Tensor hidden, AttentionContext context, KeyValueCache? cache = null)
    {
        using var scope = NewDisposeScope();
        long batch = hidden.shape[0], length = hidden.shape[1];
        var (query, key, value) = QueryKeyValue(layer, Norm(In(layer, Names.AttentionNorm), hidden)); // each [B, A, T, D]
        if (Config.QueryKeyNorm)
        {
            query = Norm(In(layer, Names.HeadNorms.Query), query);
            key = Norm(In(layer, Names.HeadNorms.Key), key);
        }

        if (Config.Ropes[layer] is { } rope)
        {
            var (cos, sin) = context.Rotation(rope);
            query = RotaryEmbedding.Rotate(query, cos, sin);
            key = RotaryEmbedding.Rotate(key, cos, sin);
        }

        if (cache is not null) (key, value) = cache.Append(layer, key, value);
        var group = Config.HeadCount / Config.KeyValueHeadCount;
        if (group > 1) (key, value) = (DecoderFunctions.Repeat(key, group), DecoderFunctions.Repeat(value, group));
        var attended = Attention(layer, query, key, value, context)
            .transpose(1, 2)
            .reshape(batch, length, Config.HeadCount * Config.HeadSize);
        var output = Linear(In(layer, Names.AttentionOutput), attended);
        if (Names.AttentionOutputNorm is { } after) output = Norm(In(layer, after), output);
        return (hidden + output).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// The input of a layer's down projection, such as silu(gate(norm(x))) * up(norm(x)), [B, T, I]. Here x is the residual stream after
    /// attention, or before it in a model with parallel residuals.
    /// </summary>
    public Tensor DownProjectionInput(int layer, Tensor stream)
    {
        using var scope = NewDisposeScope();
        var normalised = Norm(In(layer, Names.MlpNorm), stream);
        var first = Linear(In(layer, Names.MlpInput[0]), normalised);
        var size = Config.IntermediateSize;
        var inner = Names.Mlp switch
        {
            MlpKind.Gated => Activate(first) * Linear(In(layer, Names.MlpInput[1]), normalised),
            MlpKind.GatedJoined => Activate(first.narrow(-1, 0, size)) * first.narrow(-1, size, size),
            _ => Activate(first),
        };
        return inner.MoveToOuterDisposeScope();

        Tensor Activate(Tensor x) => DecoderFunctions.Activate(Config.Activation, x);
    }

    /// <summary>The end of a layer: x + down(inner), [B, T, H]; the MLP output is normalised first if the family does so.</summary>
    public Tensor DownProjection(int layer, Tensor middle, Tensor inner)
    {
        using var scope = NewDisposeScope();
        var output = Linear(In(layer, Names.MlpOutput), inner);
        if (Names.MlpOutputNorm is { } after) output = Norm(In(layer, after), output);
        return (middle + output).MoveToOuterDisposeScope();
    }

    private ArchitectureDescription Names => Config.Architecture;

    private string In(int layer, string module) => Names.InLayer(layer, module);

    private (Tensor Query, Tensor Key, Tensor Value) QueryKeyValue(int layer, Tensor normalised)
    {
        if (Names.Packing == AttentionPacking.Separate)
            return (
                Heads(Linear(In(layer, Names.QueryKeyValue[0]), normalised), Config.HeadCount),
                Heads(Linear(In(layer, Names.QueryKeyValue[1]), normalised), Config.KeyValueHeadCount),
                Heads(Linear(In(layer, Names.QueryKeyValue[2]), normalised), Config.KeyValueHeadCount)
            );
        var all = Linear(In(layer, Names.QueryKeyValue[0]), normalised);
        long queries = Config.HeadCount * Config.HeadSize, keys = Config.KeyValueHeadCount * Config.HeadSize, size = Config.HeadSize;
        if (Names.Packing == AttentionPacking.Joined)
            return (
                Heads(all.narrow(-1, 0, queries), Config.HeadCount),
                Heads(all.narrow(-1, queries, keys), Config.KeyValueHeadCount),
                Heads(all.narrow(-1, queries + keys, keys), Config.KeyValueHeadCount)
            );
        var byHead = DecoderFunctions.Heads(all, Config.HeadCount, 3 * Config.HeadSize); // [B, A, T, 3D]
        return (byHead.narrow(-1, 0, size), byHead.narrow(-1, size, size), byHead.narrow(-1, 2 * size, size));

        Tensor Heads(Tensor projected, int heads) => DecoderFunctions.Heads(projected, heads, Config.HeadSize);
    }

    private Tensor Attention(int layer, Tensor query, Tensor key, Tensor value, AttentionContext context)
    {
        using var scope = NewDisposeScope();
        var mask = context.Mask(Config.SlidingWindows[layer], always: Config.ScoreCap is not null);
        var divisor = Config.ScoreDivisor(layer);
        // The fused kernel has no soft cap, and its backward pass recomputes the softmax from a log-sum, which loses the normalisation of
        // rows that see no key.
        if (context.HasEmptyRows || Config.ScoreCap is not null)
            return DecoderFunctions.Attention(query, key, value, mask!, divisor, Config.ScoreCap).MoveToOuterDisposeScope();
        var factor = Math.Sqrt(Config.HeadSize) / divisor; // the kernel divides by sqrt(D)
        return nn
            .functional.scaled_dot_product_attention(factor == 1 ? query : query * factor, key, value, mask, 0, mask is null)
            .MoveToOuterDisposeScope();
    }

    private Tensor Linear(string module, Tensor x) =>
        DecoderFunctions.Linear(x, Weight(module + ".weight"), Find(module + ".bias"), Names.Transposed);

    private Tensor Norm(string module, Tensor x) =>
        DecoderFunctions.Norm(Names.Norm, x, Weight(module + ".weight"), Find(module + ".bias"), Config.NormEpsilon);
}
