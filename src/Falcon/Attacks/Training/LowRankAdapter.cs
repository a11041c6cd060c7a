using Falcon.Models;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Attacks.Training;

/// <summary>
/// LoRA (Hu et al. 2021, arXiv 2106.09685; alpha = 2 r): W' = W + 2 B A for some matrices [O, I]. At the start A [r, I] is uniform within
/// 1/sqrt(I) and B [O, r] is zero. Owns A and B.
/// </summary>
internal sealed class LowRankAdapter : IDisposable
{
    private const double Scale = 2;

    private readonly CausalLM _model;
    private readonly List<(string Name, Tensor A, Tensor B)> _factors = [];

    /// <summary>A new adapter, which changes nothing yet.</summary>
    /// <param name="model">The model; borrowed.</param>
    /// <param name="names">The adapted matrices.</param>
    /// <param name="rank">r.</param>
    /// <param name="seed">Seed of A.</param>
    public LowRankAdapter(CausalLM model, IReadOnlyList<string> names, int rank, ulong seed)
    {
        _model = model;
        using var guard = no_grad();
        foreach (var (index, name) in names.Index())
        {
            using var scope = NewDisposeScope();
            using var generator = new Generator(Seeds.Derive(seed, "low-rank adapter", index), model.Device);
            var shape = model.Weight(name).shape;
            var a = (rand([rank, shape[1]], float32, model.Device, generator: generator) * 2 - 1) / Math.Sqrt(shape[1]);
            _factors.Add(
                (
                    name,
                    a.requires_grad_().DetachFromDisposeScope(),
                    zeros([shape[0], rank], float32, model.Device).requires_grad_().DetachFromDisposeScope()
                )
            );
        }
    }

    /// <summary>All A and B, float32 leaves with gradient; borrowed.</summary>
    public IReadOnlyList<Tensor> Parameters => [.. _factors.SelectMany(factor => new[] { factor.A, factor.B })];

    /// <summary>
    /// The model with adapted matrices. They belong to the caller's dispose scope, and carry the gradient to A and B unless it is switched
    /// off.
    /// </summary>
    public CausalLM Adapted() => _model.With(_factors.ToDictionary(factor => factor.Name, Matrix));

    private Tensor Matrix((string Name, Tensor A, Tensor B) factor)
    {
        using var scope = NewDisposeScope();
        return (_model.Weight(factor.Name) + (factor.B.matmul(factor.A) * Scale).to(_model.DType)).MoveToOuterDisposeScope();
    }

    /// <summary>Releases A and B.</summary>
    public void Dispose()
    {
        foreach (var (_, a, b) in _factors)
        {
            a.Dispose();
            b.Dispose();
        }
    }
}
