using System.Globalization;
using Falcon.Models.Families;
using static TorchSharp.torch;

namespace Falcon.Models;

/// <summary>The weights of a checkpoint by their Hugging Face names. Owns its tensors.</summary>
/// <param name="tensors">The tensors by name, taken over.</param>
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

/// <summary>The tensor names and shapes that a configuration requires, and what a name says about a tensor's place.</summary>
public static class WeightNames
{
    /// <summary>The layer number of embeddings: below all layers.</summary>
    internal const int BelowLayers = -1;

    /// <summary>The layer number of the final norm and the output head: above all layers.</summary>
    internal const int AboveLayers = int.MaxValue;

    private static readonly string[] Embeddings = ["embed_tokens.weight", "embed_in.weight", "wte.weight", "wpe.weight"];
    private static readonly string[] Heads = ["lm_head.weight", "embed_out.weight"];
    private static readonly string[] DownProjections = [".mlp.down_proj.", ".mlp.dense_4h_to_h.", ".mlp.c_proj."];

    /// <summary>
    /// The layer of a tensor; <see cref="BelowLayers"/> for embeddings, <see cref="AboveLayers"/> for the final norm and the output head.
    /// </summary>
    internal static int LayerOf(string name)
    {
        foreach (var part in name.AsSpan().Split('.'))
            if (int.TryParse(name.AsSpan(part), NumberStyles.None, CultureInfo.InvariantCulture, out var layer)) return layer;
        return IsEmbedding(name) ? BelowLayers : AboveLayers;
    }

    /// <summary>Whether a tensor is a token or position embedding.</summary>
    internal static bool IsEmbedding(string name) => Embeddings.Any(end => name.EndsWith(end, StringComparison.Ordinal));

    /// <summary>Whether a tensor is the output head.</summary>
    internal static bool IsHead(string name) => Heads.Any(end => name.EndsWith(end, StringComparison.Ordinal));

    /// <summary>Whether a tensor is the matrix of a down projection.</summary>
    internal static bool IsDownProjection(string name) =>
        name.EndsWith(".weight", StringComparison.Ordinal)
        && DownProjections.Any(module => name.Contains(module, StringComparison.Ordinal));

    /// <summary>
    /// Whether a layer uses a tensor only from its down projection on: that matrix, its bias, and the norm of its output.
    /// </summary>
    internal static bool IsFromDownProjectionOn(string name) =>
        DownProjections.Any(module => name.Contains(module, StringComparison.Ordinal))
        || name.Contains(".post_feedforward_layernorm.", StringComparison.Ordinal);

    /// <summary>
    /// Every tensor with its shape: the embeddings, each layer (matrices before norms), the final norm, the output head. For Llama, Mistral
    /// and Qwen this is the state-dict order.
    /// </summary>
    public static IReadOnlyList<(string Name, long[] Shape)> Expected(ModelConfig config)
    {
        var names = config.Architecture;
        long hidden = config.HiddenSize, inner = config.IntermediateSize;
        long queries = (long)config.HeadCount * config.HeadSize, keys = (long)config.KeyValueHeadCount * config.HeadSize;
        List<(string, long[])> all = [(names.EmbeddingWeight, [config.VocabularySize, hidden])];
        if (names.PositionWeight is { } positions) all.Add((positions, [config.MaxPositions, hidden]));

        void Norm(string module, long size)
        {
            all.Add((module + ".weight", [size]));
            if (names.Norm == NormKind.LayerNorm) all.Add((module + ".bias", [size]));
        }

        for (var layer = 0; layer < config.LayerCount; layer++)
        {
            void Matrix(string module, bool bias, long outputs, long inputs)
            {
                all.Add((names.InLayer(layer, module + ".weight"), names.Transposed ? [inputs, outputs] : [outputs, inputs]));
                if (bias) all.Add((names.InLayer(layer, module + ".bias"), [outputs]));
            }

            if (names.Packing != AttentionPacking.Separate)
                Matrix(names.QueryKeyValue[0], config.QueryKeyValueBias, queries + 2 * keys, hidden);
            else
                for (var i = 0; i < 3; i++) Matrix(names.QueryKeyValue[i], config.QueryKeyValueBias, i == 0 ? queries : keys, hidden);
            Matrix(names.AttentionOutput, config.OutputBias, hidden, queries);
            if (config.QueryKeyNorm)
            {
                Norm(names.InLayer(layer, names.HeadNorms.Query), config.HeadSize);
                Norm(names.InLayer(layer, names.HeadNorms.Key), config.HeadSize);
            }

            foreach (var module in names.MlpInput)
                Matrix(module, config.MlpBias, names.Mlp == MlpKind.GatedJoined ? 2 * inner : inner, hidden);
            Matrix(names.MlpOutput, config.MlpBias, hidden, inner);
            foreach (var module in new[] { names.AttentionNorm, names.AttentionOutputNorm, names.MlpNorm, names.MlpOutputNorm })
                if (module is not null) Norm(names.InLayer(layer, module), hidden);
        }

        Norm(names.FinalNorm, hidden);
        if (!config.TiedEmbeddings) all.Add((names.HeadWeight, [config.VocabularySize, hidden]));
        return all;
    }
}
