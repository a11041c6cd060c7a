using Falcon.Models;
using Falcon.Models.Families;
using static TorchSharp.torch;

namespace Falcon.Attacks.Weights;

/// <summary>The matrices of the decoder layers, which attacks on weights change. Embedding and output head stay as they are.</summary>
internal static class LayerMatrices
{
    /// <summary>Every matrix of every layer, in the order of the layers.</summary>
    public static IReadOnlyList<string> All(ModelConfig config) =>
        [
            .. Enumerable
                .Range(0, config.LayerCount)
                .SelectMany(layer => config.Architecture.Matrices.Select(matrix => config.Architecture.InLayer(layer, matrix + ".weight"))),
        ];

    /// <summary>A matrix as [O, I], one row for each output, however the family stores it; a view.</summary>
    public static Tensor ByOutputs(ModelConfig config, Tensor weight) => config.Architecture.Transposed ? weight.t() : weight;

    /// <summary>The matrices that differ between two models of one architecture.</summary>
    public static IReadOnlyList<string> Edited(CausalLM model, CausalLM original) =>
        ReferenceEquals(model, original) ? [] : [.. All(model.Config).Where(name => Differ(model.Weight(name), original.Weight(name)))];

    private static bool Differ(Tensor one, Tensor other)
    {
        using var scope = NewDisposeScope();
        return one.ne(other).any().item<bool>();
    }
}
