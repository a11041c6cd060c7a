using Falcon.Models;
using Falcon.Models.Families;

namespace Falcon.Exchange.Gguf;

/// <summary>A tensor under both of its names.</summary>
/// <param name="Hub">In the checkpoint.</param>
/// <param name="File">In a GGUF file.</param>
/// <param name="Shape">Its shape in the checkpoint.</param>
/// <param name="Order">What differs in the file.</param>
internal sealed record GgufTensorName(string Hub, string File, long[] Shape, RowOrder Order)
{
    /// <summary>Its shape in the file.</summary>
    public long[] FileShape => Order.IsTransposed ? [Shape[1], Shape[0]] : Shape;
}

/// <summary>
/// The tensors of a model under their names in Hugging Face checkpoints and in GGUF files. Source of the names: llama.cpp's converter.
/// </summary>
internal static class GgufTensorNames
{
    /// <summary>Every tensor that a configuration asks for, in the order of <see cref="WeightNames.Expected"/>.</summary>
    /// <param name="config">The model.</param>
    /// <param name="architecture">Its name in GGUF files.</param>
    public static IReadOnlyList<GgufTensorName> Of(ModelConfig config, string architecture)
    {
        var names = config.Architecture;
        Dictionary<string, string> modules = new()
        {
            [names.Base + names.TokenEmbedding] = "token_embd",
            [names.FinalNorm] = "output_norm",
            [names.OutputHead] = "output",
        };
        if (names.PositionEmbedding is not null)
            modules[names.Base + names.PositionEmbedding] = "position_embd";
        for (var layer = 0; layer < config.LayerCount; layer++)
            foreach (var (module, file) in InLayer(names))
                modules[names.InLayer(layer, module)] = $"blk.{layer}.{file}";
        return [.. WeightNames.Expected(config).Select(item => Named(item.Name, item.Shape))];

        GgufTensorName Named(string name, long[] shape)
        {
            var end = name.LastIndexOf('.');
            var module = modules[name[..end]];
            return new GgufTensorName(name, module + name[end..], shape, Order(module[(module.LastIndexOf('.') + 1)..], shape));
        }

        RowOrder Order(string module, long[] shape) =>
            module switch
            {
                "attn_q" or "attn_k" when architecture is "llama" or "smollm3" => RowOrder.Interleaved(config.HeadSize),
                "attn_qkv" when names.Packing == AttentionPacking.JoinedByHead => RowOrder.Regrouped(config.HeadSize, config.HeadCount),
                _ when names.Norm == NormKind.RootMeanSquarePlusOne && shape.Length == 1 => RowOrder.PlusOne,
                _ when names.Transposed && shape.Length == 2 && module is not ("token_embd" or "position_embd" or "output") =>
                    RowOrder.Transposed,
                _ => RowOrder.Same,
            };
    }

    private static IEnumerable<(string Module, string File)> InLayer(ArchitectureDescription names)
    {
        yield return (names.AttentionNorm, "attn_norm");
        yield return (names.MlpNorm, "ffn_norm");
        if (names.AttentionOutputNorm is { } afterAttention)
            yield return (afterAttention, "post_attention_norm");
        if (names.MlpOutputNorm is { } afterMlp)
            yield return (afterMlp, "post_ffw_norm");
        string[] projections = names.Packing == AttentionPacking.Separate ? ["attn_q", "attn_k", "attn_v"] : ["attn_qkv"];
        foreach (var (module, file) in names.QueryKeyValue.Zip(projections))
            yield return (module, file);
        yield return (names.AttentionOutput, "attn_output");
        yield return (names.HeadNorms.Query, "attn_q_norm");
        yield return (names.HeadNorms.Key, "attn_k_norm");
        string[] inputs = names.Mlp == MlpKind.Gated ? ["ffn_gate", "ffn_up"] : ["ffn_up"];
        foreach (var (module, file) in names.MlpInput.Zip(inputs))
            yield return (module, file);
        yield return (names.MlpOutput, "ffn_down");
    }
}
