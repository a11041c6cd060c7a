using static TorchSharp.torch;

namespace Falcon.Models;

/// <summary>The weights of one checkpoint by their Hugging Face names. Owns its tensors.</summary>
public sealed class Weights(IReadOnlyDictionary<string, Tensor> tensors) : IDisposable
{
    /// <summary>The tensors by name; borrowed.</summary>
    public IReadOnlyDictionary<string, Tensor> Tensors { get; } = tensors;

    /// <summary>Releases every tensor.</summary>
    public void Dispose()
    {
        foreach (var tensor in Tensors.Values) tensor.Dispose();
    }
}

/// <summary>
/// The names of a layer's tensors, and the names and shapes that a configuration asks for.
/// </summary>
public static class WeightNames
{
    /// <summary>The embedding matrix [V, H].</summary>
    public const string Embedding = "model.embed_tokens.weight";

    /// <summary>The final RMSNorm [H].</summary>
    public const string FinalNorm = "model.norm.weight";

    /// <summary>The output head [V, H]; absent in a checkpoint with tied embeddings.</summary>
    public const string Head = "lm_head.weight";

    /// <summary>The full name of a layer's tensor, such as <c>model.layers.3.mlp.down_proj.weight</c>.</summary>
    public static string InLayer(int layer, string component) => $"model.layers.{layer}.{component}";

    /// <summary>The layer in the name of a layer's tensor.</summary>
    internal static int LayerOf(string name) => int.Parse(name.Split('.')[2], System.Globalization.CultureInfo.InvariantCulture);

    /// <summary>The seven matrices of a decoder layer, as they are named in a checkpoint.</summary>
    public static IReadOnlyList<string> Matrices { get; } =
    [
        "self_attn.q_proj.weight", "self_attn.k_proj.weight", "self_attn.v_proj.weight", "self_attn.o_proj.weight",
        "mlp.gate_proj.weight", "mlp.up_proj.weight", "mlp.down_proj.weight",
    ];

    /// <summary>Every tensor with its shape, in state-dict order.</summary>
    public static IReadOnlyList<(string Name, long[] Shape)> Expected(ModelConfig config)
    {
        long hidden = config.HiddenSize, inner = config.IntermediateSize, queries = (long)config.HeadCount * config.HeadSize, keys = (long)config.KeyValueHeadCount * config.HeadSize;
        List<(string, long[])> all = [(Embedding, [config.VocabularySize, hidden])];
        for (var layer = 0; layer < config.LayerCount; layer++)
        {
            void Add(string component, bool present, params long[] shape)
            {
                if (present) all.Add((InLayer(layer, component), shape));
            }

            Add("self_attn.q_proj.weight", true, queries, hidden);
            Add("self_attn.q_proj.bias", config.QueryKeyValueBias, queries);
            Add("self_attn.k_proj.weight", true, keys, hidden);
            Add("self_attn.k_proj.bias", config.QueryKeyValueBias, keys);
            Add("self_attn.v_proj.weight", true, keys, hidden);
            Add("self_attn.v_proj.bias", config.QueryKeyValueBias, keys);
            Add("self_attn.o_proj.weight", true, hidden, queries);
            Add("self_attn.o_proj.bias", config.OutputBias, hidden);
            Add("self_attn.q_norm.weight", config.QueryKeyNorm, config.HeadSize);
            Add("self_attn.k_norm.weight", config.QueryKeyNorm, config.HeadSize);
            Add("mlp.gate_proj.weight", true, inner, hidden);
            Add("mlp.gate_proj.bias", config.MlpBias, inner);
            Add("mlp.up_proj.weight", true, inner, hidden);
            Add("mlp.up_proj.bias", config.MlpBias, inner);
            Add("mlp.down_proj.weight", true, hidden, inner);
            Add("mlp.down_proj.bias", config.MlpBias, hidden);
            Add("input_layernorm.weight", true, hidden);
            Add("post_attention_layernorm.weight", true, hidden);
        }

        all.Add((FinalNorm, [hidden]));
        if (!config.TiedEmbeddings) all.Add((Head, [config.VocabularySize, hidden]));
        return all;
    }
}
