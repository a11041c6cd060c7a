namespace Falcon.Models.Families;

/// <summary>How a norm normalises and scales its input x; eps is <see cref="ModelConfig.NormEpsilon"/>.</summary>
public enum NormKind
{
    /// <summary>x / sqrt(mean(x²) + eps) in float32, back to the compute dtype, times the weight.</summary>
    RootMeanSquare,

    /// <summary>x / sqrt(mean(x²) + eps) times (1 + weight), all in float32 (Gemma).</summary>
    RootMeanSquarePlusOne,

    /// <summary>(x - mean) / sqrt(variance + eps) times the weight plus the bias.</summary>
    LayerNorm,
}

/// <summary>The activation function of an MLP.</summary>
public enum ActivationKind
{
    /// <summary>x · sigmoid(x).</summary>
    Silu,

    /// <summary>x · Φ(x), with Φ the standard normal distribution function.</summary>
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

    /// <summary>One matrix: head by head, the queries, keys and values of that head.</summary>
    JoinedByHead,
}

/// <summary>How the input matrices of an MLP are stored.</summary>
public enum MlpKind
{
    /// <summary>Two matrices: activation(gate) · up.</summary>
    Gated,

    /// <summary>Gate and up in one matrix, gate first.</summary>
    GatedJoined,

    /// <summary>One matrix, then the activation; no gate.</summary>
    Plain,
}

/// <summary>
/// How the decoder of a family is built and what its tensors are called: which norms there are, how matrices are packed, whether positions
/// are learned. One decoder (<see cref="CausalLM"/>) runs every description; the sizes and switches of a checkpoint are in
/// <see cref="ModelConfig"/>.
/// </summary>
/// <remarks>Names are those of modules; a tensor is the <c>.weight</c> or <c>.bias</c> of a module.</remarks>
public sealed record ArchitectureDescription
{
    // Buffers that old files contain: causal masks and rotary frequencies.
    private static readonly string[] Buffers =
        ["rotary_emb.inv_freq", ".attn.bias", ".attn.masked_bias", ".attention.bias", ".attention.masked_bias"];

    /// <summary>The prefix of every name except the output head's, such as <c>model.</c>.</summary>
    public string Base { get; init; } = "model.";

    /// <summary>Other prefixes that files of the family use; the one found in the files is taken.</summary>
    public IReadOnlyList<string> OtherBases { get; init; } = [];

    /// <summary>The prefix of every module name except the output head's in the Hugging Face library's class of today.</summary>
    public string ClassBase { get; init; } = "model.";

    /// <summary>Prefixes of tensors outside the decoder, such as a vision tower; they are copied unread.</summary>
    public IReadOnlyList<string> Foreign { get; init; } = [];

    /// <summary>The token embedding, after <see cref="Base"/>.</summary>
    public string TokenEmbedding { get; init; } = "embed_tokens";

    /// <summary>The learned position embedding, after <see cref="Base"/>; null for a family with rotary positions.</summary>
    public string? PositionEmbedding { get; init; }

    /// <summary>The part of a name between <see cref="Base"/> and the layer number.</summary>
    public string LayerList { get; init; } = "layers.";

    /// <summary>The final norm, before the output head; after <see cref="Base"/>.</summary>
    public string LastNorm { get; init; } = "norm";

    /// <summary>The full module name of the output head.</summary>
    public string OutputHead { get; init; } = "lm_head";

    /// <summary>Other names that files of the family use for the output head; the one found in the files is taken.</summary>
    public IReadOnlyList<string> OtherHeads { get; init; } = [];

    /// <summary>The kind of all norms.</summary>
    public NormKind Norm { get; init; }

    /// <summary>The norm of a layer's attention input.</summary>
    public string AttentionNorm { get; init; } = "input_layernorm";

    /// <summary>The norm of the attention output before it is added to the residual stream; null for none.</summary>
    public string? AttentionOutputNorm { get; init; }

    /// <summary>The norm of the MLP input.</summary>
    public string MlpNorm { get; init; } = "post_attention_layernorm";

    /// <summary>The norm of the MLP output before it is added to the residual stream; null for none.</summary>
    public string? MlpOutputNorm { get; init; }

    /// <summary>How the projections of queries, keys and values are stored.</summary>
    public AttentionPacking Packing { get; init; }

    /// <summary>The projections of queries, keys and values: three matrices, or one.</summary>
    public IReadOnlyList<string> QueryKeyValue { get; init; } = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"];

    /// <summary>The output projection of attention.</summary>
    public string AttentionOutput { get; init; } = "self_attn.o_proj";

    /// <summary>The norms of queries and keys per head, used when <see cref="ModelConfig.QueryKeyNorm"/> is set.</summary>
    public (string Query, string Key) HeadNorms { get; init; } = ("self_attn.q_norm", "self_attn.k_norm");

    /// <summary>The kind of MLP.</summary>
    public MlpKind Mlp { get; init; }

    /// <summary>The input matrices of the MLP: gate and up, or one.</summary>
    public IReadOnlyList<string> MlpInput { get; init; } = ["mlp.gate_proj", "mlp.up_proj"];

    /// <summary>The down projection of the MLP, which writes into the residual stream: the matrix that FALCON trains.</summary>
    public string MlpOutput { get; init; } = "mlp.down_proj";

    /// <summary>Whether the matrices of layers are stored as [in, out] (GPT-2) instead of [out, in].</summary>
    public bool Transposed { get; init; }

    /// <summary>Whether token embeddings are multiplied by sqrt(H), rounded to the compute dtype (Gemma).</summary>
    public bool ScaledEmbedding { get; init; }

    /// <summary>The matrices of a layer, in the order of <see cref="WeightNames.Expected"/>.</summary>
    public IReadOnlyList<string> Matrices => [.. QueryKeyValue, AttentionOutput, .. MlpInput, MlpOutput];

    /// <summary>The full name of the embedding matrix [V, H].</summary>
    public string EmbeddingWeight => $"{Base}{TokenEmbedding}.weight";

    /// <summary>The full name of the position embedding [P, H]; null when there is none.</summary>
    public string? PositionWeight => PositionEmbedding is null ? null : $"{Base}{PositionEmbedding}.weight";

    /// <summary>The full module name of the final norm.</summary>
    public string FinalNorm => Base + LastNorm;

    /// <summary>The full name of the output head's matrix [V, H].</summary>
    public string HeadWeight => OutputHead + ".weight";

    /// <summary>The full name of a module or tensor in a layer.</summary>
    public string InLayer(int layer, string component) => $"{Base}{LayerList}{layer}.{component}";

    /// <summary>
    /// Whether the files may contain a tensor that the configuration does not ask for: a copy of tied embeddings, a buffer of an old
    /// version, another part of a larger model.
    /// </summary>
    internal bool Allows(string name) =>
        name == HeadWeight
        || OtherHeads.Any(head => name == head + ".weight")
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
        OtherHeads = ["language_model.lm_head", "model.language_model.lm_head"],
        ClassBase = "model.language_model.",
        Foreign = ["vision_tower.", "multi_modal_projector.", "model.vision_tower.", "model.multi_modal_projector."],
    };

    internal static ArchitectureDescription GptNeoX { get; } = new()
    {
        Base = "gpt_neox.",
        ClassBase = "gpt_neox.",
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
        ClassBase = "transformer.",
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
