namespace Falcon.Models.Families;

/// <summary>How a norm scales what it has normalised.</summary>
public enum NormKind
{
    /// <summary>x / sqrt(mean(x²) + eps) in float32, back to the compute dtype, times the weight.</summary>
    RootMeanSquare,

    /// <summary>The same times (1 + weight), all in float32 (Gemma).</summary>
    RootMeanSquarePlusOne,

    /// <summary>(x - mean) / sqrt(variance + eps) times the weight plus the bias.</summary>
    LayerNorm,
}

/// <summary>The function between the matrices of an MLP.</summary>
public enum ActivationKind
{
    /// <summary>x · sigmoid(x).</summary>
    Silu,

    /// <summary>x · Φ(x), Φ the normal distribution function.</summary>
    Gelu,

    /// <summary>x/2 · (1 + tanh(sqrt(2/π)(x + 0.044715 x³))).</summary>
    GeluTanh,
}

/// <summary>How the projections of queries, keys and values are stored.</summary>
public enum AttentionPacking
{
    /// <summary>Three matrices.</summary>
    Separate,

    /// <summary>One matrix: all queries, then all keys, then all values.</summary>
    Joined,

    /// <summary>One matrix: for each head its queries, keys and values.</summary>
    JoinedByHead,
}

/// <summary>How the matrices of an MLP before the last one are stored.</summary>
public enum MlpKind
{
    /// <summary>Two matrices: activation(gate) · up.</summary>
    Gated,

    /// <summary>The same in one matrix, gate first.</summary>
    GatedJoined,

    /// <summary>One matrix and the activation.</summary>
    Plain,
}

/// <summary>
/// How the decoder of a family is built and what its tensors are called: which norms stand where, how matrices are packed, what the
/// activation's and the positions' matrices are. One decoder (<see cref="CausalLM"/>) runs every description; sizes and switches of a
/// checkpoint are in <see cref="ModelConfig"/>.
/// </summary>
/// <remarks>Names are those of modules: a tensor is a module's <c>.weight</c> or <c>.bias</c>.</remarks>
public sealed record ArchitectureDescription
{
    // Buffers of old files: causal masks and tables of positions.
    private static readonly string[] Buffers =
    [
        "rotary_emb.inv_freq",
        ".attn.bias",
        ".attn.masked_bias",
        ".attention.bias",
        ".attention.masked_bias",
    ];

    /// <summary>What stands before every name but the head's, such as <c>model.</c>.</summary>
    public string Base { get; init; } = "model.";

    /// <summary>Other beginnings that files of the family have; the one that the files hold is taken.</summary>
    public IReadOnlyList<string> OtherBases { get; init; } = [];

    /// <summary>Beginnings of names that belong to other parts than the decoder, which are carried along unread.</summary>
    public IReadOnlyList<string> Foreign { get; init; } = [];

    /// <summary>The embedding of tokens, after <see cref="Base"/>.</summary>
    public string TokenEmbedding { get; init; } = "embed_tokens";

    /// <summary>The embedding of positions, after <see cref="Base"/>; null where queries and keys are rotated instead.</summary>
    public string? PositionEmbedding { get; init; }

    /// <summary>What stands between <see cref="Base"/> and the number of a layer.</summary>
    public string LayerList { get; init; } = "layers.";

    /// <summary>The norm before the head, after <see cref="Base"/>.</summary>
    public string LastNorm { get; init; } = "norm";

    /// <summary>The output head, by its full name.</summary>
    public string OutputHead { get; init; } = "lm_head";

    /// <summary>The kind of all norms.</summary>
    public NormKind Norm { get; init; }

    /// <summary>The norm of what attention reads, in a layer.</summary>
    public string AttentionNorm { get; init; } = "input_layernorm";

    /// <summary>The norm of what attention adds to the residual stream; null for none.</summary>
    public string? AttentionOutputNorm { get; init; }

    /// <summary>The norm of what the MLP reads.</summary>
    public string MlpNorm { get; init; } = "post_attention_layernorm";

    /// <summary>The norm of what the MLP adds to the residual stream; null for none.</summary>
    public string? MlpOutputNorm { get; init; }

    /// <summary>How queries, keys and values are projected.</summary>
    public AttentionPacking Packing { get; init; }

    /// <summary>The matrices that make queries, keys and values: three, or one.</summary>
    public IReadOnlyList<string> QueryKeyValue { get; init; } = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"];

    /// <summary>The matrix that writes what was attended to into the residual stream.</summary>
    public string AttentionOutput { get; init; } = "self_attn.o_proj";

    /// <summary>The norms of queries and keys per head, where the configuration has them.</summary>
    public (string Query, string Key) HeadNorms { get; init; } = ("self_attn.q_norm", "self_attn.k_norm");

    /// <summary>How the MLP begins.</summary>
    public MlpKind Mlp { get; init; }

    /// <summary>The matrices that the MLP begins with: gate and up, or one.</summary>
    public IReadOnlyList<string> MlpInput { get; init; } = ["mlp.gate_proj", "mlp.up_proj"];

    /// <summary>The matrix that writes the MLP's output into the residual stream: what FALCON trains.</summary>
    public string MlpOutput { get; init; } = "mlp.down_proj";

    /// <summary>Whether matrices of layers are stored [in, out] (GPT-2) instead of [out, in].</summary>
    public bool Transposed { get; init; }

    /// <summary>Whether embeddings are multiplied by sqrt(H), rounded to the compute dtype (Gemma).</summary>
    public bool ScaledEmbedding { get; init; }

    /// <summary>The matrices of a layer, in the order of <see cref="WeightNames.Expected"/>.</summary>
    public IReadOnlyList<string> Matrices => [.. QueryKeyValue, AttentionOutput, .. MlpInput, MlpOutput];

    /// <summary>The full name of the embedding matrix [V, H].</summary>
    public string EmbeddingWeight => $"{Base}{TokenEmbedding}.weight";

    /// <summary>The full name of the matrix of learned positions [P, H]; null where there is none.</summary>
    public string? PositionWeight => PositionEmbedding is null ? null : $"{Base}{PositionEmbedding}.weight";

    /// <summary>The full name of the last norm's module.</summary>
    public string FinalNorm => Base + LastNorm;

    /// <summary>The full name of the output head's matrix [V, H].</summary>
    public string HeadWeight => OutputHead + ".weight";

    /// <summary>The full name of a module or tensor in a layer.</summary>
    public string InLayer(int layer, string component) => $"{Base}{LayerList}{layer}.{component}";

    /// <summary>
    /// Whether a tensor that the configuration does not ask for may stand in the files: a copy of tied embeddings, a buffer of an old
    /// version, another part of a larger model.
    /// </summary>
    internal bool Allows(string name) =>
        name == HeadWeight
        || name == "language_model." + HeadWeight
        || Buffers.Any(end => name.EndsWith(end, StringComparison.Ordinal))
        || Foreign.Any(start => name.StartsWith(start, StringComparison.Ordinal));

    internal static ArchitectureDescription Llama { get; } = new();

    internal static ArchitectureDescription Phi3 { get; } = new()
    {
        Packing = AttentionPacking.Joined,
        QueryKeyValue = ["self_attn.qkv_proj"],
        Mlp = MlpKind.GatedJoined,
        MlpInput = ["mlp.gate_up_proj"],
    };

    internal static ArchitectureDescription Gemma { get; } = new()
    {
        Norm = NormKind.RootMeanSquarePlusOne,
        AttentionOutputNorm = "post_attention_layernorm",
        MlpNorm = "pre_feedforward_layernorm",
        MlpOutputNorm = "post_feedforward_layernorm",
        ScaledEmbedding = true,
    };

    internal static ArchitectureDescription GemmaWithImages { get; } = Gemma with
    {
        Base = "language_model.model.",
        OtherBases = ["model.language_model."],
        Foreign = ["vision_tower.", "multi_modal_projector.", "model.vision_tower.", "model.multi_modal_projector."],
    };

    internal static ArchitectureDescription GptNeoX { get; } = new()
    {
        Base = "gpt_neox.",
        TokenEmbedding = "embed_in",
        LastNorm = "final_layer_norm",
        OutputHead = "embed_out",
        Norm = NormKind.LayerNorm,
        Packing = AttentionPacking.JoinedByHead,
        QueryKeyValue = ["attention.query_key_value"],
        AttentionOutput = "attention.dense",
        Mlp = MlpKind.Plain,
        MlpInput = ["mlp.dense_h_to_4h"],
        MlpOutput = "mlp.dense_4h_to_h",
    };

    internal static ArchitectureDescription Gpt2 { get; } = new()
    {
        Base = "transformer.",
        OtherBases = [""],
        TokenEmbedding = "wte",
        PositionEmbedding = "wpe",
        LayerList = "h.",
        LastNorm = "ln_f",
        Norm = NormKind.LayerNorm,
        AttentionNorm = "ln_1",
        MlpNorm = "ln_2",
        Packing = AttentionPacking.Joined,
        QueryKeyValue = ["attn.c_attn"],
        AttentionOutput = "attn.c_proj",
        Mlp = MlpKind.Plain,
        MlpInput = ["mlp.c_fc"],
        MlpOutput = "mlp.c_proj",
        Transposed = true,
    };
}
