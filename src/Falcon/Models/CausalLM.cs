using System.Globalization;
using Falcon.Models.Families;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Models;

/// <summary>
/// A decoder-only transformer: embedding, layers of attention and MLP on a residual stream, final norm, output head, built as its family's
/// <see cref="ArchitectureDescription"/> says.
/// </summary>
/// <remarks>
/// The model is a view: it borrows its weights and holds no state, so the frozen model and the model in training are two views of the same
/// tensors that differ in a handful of matrices (<see cref="With"/>), and a pass may stop at any layer. Axis letters: B batch, T tokens, H
/// hidden, A heads, D head width, V vocabulary.
/// </remarks>
public sealed class CausalLM
{
    private readonly IReadOnlyDictionary<string, Tensor> _weights;
    private readonly IReadOnlyDictionary<string, Tensor>? _replaced;

    /// <summary>A model over borrowed weights; those of some layers suffice as long as no other layer is run.</summary>
    public CausalLM(ModelConfig config, Weights weights)
        : this(config, weights.Tensors, null, weights.Tensors.Values.First().dtype, weights.Tensors.Values.First().device) { }

    /// <summary>The same where there may be no weight at all, because every one that runs is replaced.</summary>
    public CausalLM(ModelConfig config, Weights weights, ScalarType dtype, Device device)
        : this(config, weights.Tensors, null, dtype, device) { }

    /// <summary>A model over borrowed weights that are read layer by layer.</summary>
    public CausalLM(ModelConfig config, StreamedWeights weights) : this(config, weights, null, weights.DType, weights.Device) { }

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
    /// Whether the weights are read layer by layer, so that going through the layers once for many batches saves reading.
    /// </summary>
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

    private Tensor? Find(string name) =>
        _replaced is not null && _replaced.TryGetValue(name, out var tensor) ? tensor
        : _weights.TryGetValue(name, out var own) ? own
        : null;

    /// <summary>
    /// A causal context for sequences of this length, padded on the right if at all; their lengths without padding matter only to rotations
    /// that depend on the length.
    /// </summary>
    public AttentionContext Causal(long length, IReadOnlyList<long>? lengths = null) =>
        AttentionContext.Causal(Config, length, DType, Device, lengths);

    /// <summary>A context for left-padded sequences.</summary>
    public AttentionContext LeftPadded(Tensor attentionMask, PaddingRows paddingRows = PaddingRows.Uniform) =>
        AttentionContext.LeftPadded(Config, attentionMask, DType, paddingRows);

    /// <summary>Token ids [B, T] to the residual stream [B, T, H].</summary>
    /// <param name="inputIds">Token ids, int64.</param>
    /// <param name="positions">Positions [T] or [B, T] for a model that has learned an embedding of them; null counts from 0.</param>
    /// <exception cref="UserInputException">The text is longer than the positions that the model has learned.</exception>
    public Tensor Embed(Tensor inputIds, Tensor? positions = null)
    {
        using var scope = NewDisposeScope();
        return EmbedRows(EmbeddingRows(inputIds), positions).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// The rows of the embedding matrix [B, T, H] of token ids [B, T], as they are stored: <see cref="EmbedRows"/> makes a residual stream
    /// of them.
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
    /// Rows of the embedding matrix [B, T, H], or mixtures of them, to the residual stream [B, T, H]: scaled, and with the embedding of the
    /// positions, where the family has these.
    /// </summary>
    /// <param name="rows">One row of the embedding matrix for each token.</param>
    /// <param name="positions">As for <see cref="Embed"/>.</param>
    /// <exception cref="UserInputException">The text is longer than the positions that the model has learned.</exception>
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
                    string.Create(
                        CultureInfo.InvariantCulture,
                        $"A text of more than {Config.MaxPositions} tokens was given, and the model has learned no more positions. "
                            + $"Shorten the texts or generate fewer tokens."
                    )
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
        return Head(Layers(Embed(inputIds, context.Positions), 0, Config.LayerCount - 1, context, cache)).MoveToOuterDisposeScope();
    }

    /// <summary>Final norm and output head: residual stream [.., H] to logits [.., V].</summary>
    public Tensor Head(Tensor hidden)
    {
        using var scope = NewDisposeScope();
        var normalised = Norm(Names.FinalNorm, hidden);
        var logits = nn.functional.linear(normalised, Weight(Config.TiedEmbeddings ? Names.EmbeddingWeight : Names.HeadWeight));
        return (Config.LogitCap is { } cap ? Capped(logits, cap) : logits).MoveToOuterDisposeScope();
    }

    /// <summary>One decoder layer on the residual stream [B, T, H].</summary>
    public Tensor Layer(int layer, Tensor hidden, AttentionContext context, KeyValueCache? cache = null)
    {
        using var scope = NewDisposeScope();
        var (middle, inner) = BeforeDownProjection(layer, hidden, context, cache);
        return DownProjection(layer, middle, inner).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// All of a layer but its last product: the residual stream that the MLP's output is added to [B, T, H], and what the down projection
    /// is applied to [B, T, I].
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

    /// <summary>x + attention(norm(x)), [B, T, H], with a norm of what is added where the family has one.</summary>
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
        if (group > 1)
            (key, value) = (Repeat(key, group), Repeat(value, group));
        var attended = Attention(layer, query, key, value, context)
            .transpose(1, 2)
            .reshape(batch, length, Config.HeadCount * Config.HeadSize);
        var output = Linear(In(layer, Names.AttentionOutput), attended);
        if (Names.AttentionOutputNorm is { } after) output = Norm(In(layer, after), output);
        return (hidden + output).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// What the down projection of a layer is applied to, such as silu(gate(norm(x))) * up(norm(x)), [B, T, I], x being the stream that the
    /// MLP reads: after attention, or before it in a model with parallel residuals.
    /// </summary>
    public Tensor DownProjectionInput(int layer, Tensor stream)
    {
        using var scope = NewDisposeScope();
        var normalised = Norm(In(layer, Names.MlpNorm), stream);
        var first = Linear(In(layer, Names.MlpInput[0]), normalised);
        var inner = Names.Mlp switch
        {
            MlpKind.Gated => Activate(first) * Linear(In(layer, Names.MlpInput[1]), normalised),
            MlpKind.GatedJoined => Activate(first.narrow(-1, 0, Config.IntermediateSize))
                * first.narrow(-1, Config.IntermediateSize, Config.IntermediateSize),
            _ => Activate(first),
        };
        return inner.MoveToOuterDisposeScope();
    }

    /// <summary>The end of a layer: x + down(inner), [B, T, H], with a norm of what is added where the family has one.</summary>
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
                Heads(Linear(In(layer, Names.QueryKeyValue[2]), normalised), Config.KeyValueHeadCount));
        var all = Linear(In(layer, Names.QueryKeyValue[0]), normalised);
        long queries = Config.HeadCount * Config.HeadSize, keys = Config.KeyValueHeadCount * Config.HeadSize, size = Config.HeadSize;
        if (Names.Packing == AttentionPacking.Joined)
            return (
                Heads(all.narrow(-1, 0, queries), Config.HeadCount),
                Heads(all.narrow(-1, queries, keys), Config.KeyValueHeadCount),
                Heads(all.narrow(-1, queries + keys, keys), Config.KeyValueHeadCount)
            );
        var byHead = all.view(all.shape[0], all.shape[1], Config.HeadCount, 3 * size).transpose(1, 2); // [B, A, T, 3D]
        return (byHead.narrow(-1, 0, size), byHead.narrow(-1, size, size), byHead.narrow(-1, 2 * size, size));
    }

    private Tensor Attention(int layer, Tensor query, Tensor key, Tensor value, AttentionContext context)
    {
        using var scope = NewDisposeScope();
        var mask = context.Mask(Config.SlidingWindows[layer], always: Config.ScoreCap is not null);
        // The fused kernel has no soft cap, and its backward pass recomputes the softmax from a log-sum, which loses the normalisation of
        // rows that see nothing.
        if (context.HasEmptyRows || Config.ScoreCap is not null)
            return PlainAttention(layer, query, key, value, mask!).MoveToOuterDisposeScope();
        var factor = Math.Sqrt(Config.HeadSize) / Config.ScoreDivisor(layer); // the kernel divides by sqrt(D)
        return nn
            .functional.scaled_dot_product_attention(factor == 1 ? query : query * factor, key, value, mask, 0, mask is null)
            .MoveToOuterDisposeScope();
    }

    private Tensor PlainAttention(int layer, Tensor query, Tensor key, Tensor value, Tensor mask)
    {
        using var scope = NewDisposeScope();
        var scores = query.matmul(key.transpose(2, 3)) / Config.ScoreDivisor(layer); // [B, A, T, K]
        if (Config.ScoreCap is { } cap) scores = Capped(scores, cap);
        return nn.functional.softmax((scores + mask).to(float32), -1).to(query.dtype).matmul(value).MoveToOuterDisposeScope();
    }

    private static Tensor Capped(Tensor x, double cap)
    {
        using var scope = NewDisposeScope();
        return ((x / cap).tanh() * cap).MoveToOuterDisposeScope();
    }

    private Tensor Activate(Tensor x)
    {
        if (Config.Activation == ActivationKind.Silu) return nn.functional.silu(x);
        if (Config.Activation == ActivationKind.Gelu) return nn.functional.gelu(x);
        using var scope = NewDisposeScope();
        var wide = x.to(float32);
        var bent = ((wide + wide.pow(3) * 0.044715) * Math.Sqrt(2 / Math.PI)).tanh();
        return (wide * 0.5 * (bent + 1)).to(x.dtype).MoveToOuterDisposeScope();
    }

    private Tensor Linear(string module, Tensor input)
    {
        var (weight, bias) = (Weight(module + ".weight"), Find(module + ".bias"));
        if (!Names.Transposed) return nn.functional.linear(input, weight, bias);
        using var scope = NewDisposeScope();
        return nn.functional.linear(input, weight.t(), bias).MoveToOuterDisposeScope();
    }

    private Tensor Heads(Tensor projected, int heads) =>
        projected.view(projected.shape[0], projected.shape[1], heads, Config.HeadSize).transpose(1, 2);

    private static Tensor Repeat(Tensor heads, int group)
    {
        using var scope = NewDisposeScope();
        var shape = heads.shape;
        return heads
            .unsqueeze(2)
            .expand(shape[0], shape[1], group, shape[2], shape[3])
            .reshape(shape[0], shape[1] * group, shape[2], shape[3])
            .MoveToOuterDisposeScope();
    }

    private Tensor Norm(string module, Tensor x)
    {
        using var scope = NewDisposeScope();
        var weight = Weight(module + ".weight");
        if (Names.Norm == NormKind.LayerNorm)
            return nn.functional.layer_norm(x, [x.shape[^1]], weight, Find(module + ".bias"), Config.NormEpsilon).MoveToOuterDisposeScope();
        var wide = x.to(float32);
        var normalised = wide * (wide.pow(2).mean([-1L], true) + Config.NormEpsilon).rsqrt();
        return (
            Names.Norm == NormKind.RootMeanSquare ? normalised.to(x.dtype) * weight : (normalised * (weight.to(float32) + 1)).to(x.dtype)
        ).MoveToOuterDisposeScope();
    }
}
