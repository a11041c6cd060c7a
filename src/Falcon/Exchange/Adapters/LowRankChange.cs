using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Exchange.Adapters;

/// <summary>
/// The change of one matrix: W + s B A (Hu et al., "LoRA", 2021), with the rows of the sum scaled to learned lengths where a magnitude is
/// given (Liu et al., "DoRA", 2024). All in float32.
/// </summary>
/// <param name="Target">The module with rank and scale.</param>
/// <param name="A">[r, in].</param>
/// <param name="B">[out, r].</param>
internal sealed record LowRankChange(LoraTarget Target, AdapterTensor A, AdapterTensor B)
{
    /// <summary>The lengths of DoRA, [out]; null without.</summary>
    public AdapterTensor? Magnitude { get; init; }

    /// <summary>s B A, [out, in]; the caller's dispose scope owns it.</summary>
    public Tensor Product()
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        return B.Read().matmul(A.Read()).mul_(Target.Scale).MoveToOuterDisposeScope();
    }

    /// <summary>The changed matrix in the layout of the file.</summary>
    /// <param name="stored">The matrix as stored, float32; borrowed.</param>
    /// <returns>A matrix of the same shape; the caller's dispose scope owns it.</returns>
    /// <exception cref="UnsupportedCheckpointException">A row that DoRA scales has length 0.</exception>
    public Tensor Apply(Tensor stored)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var isTransposed = Target.Module.IsStoredTransposed;
        var sum = (isTransposed ? stored.T : stored) + Product(); // [out, in]
        if (Magnitude is not null)
        {
            var lengths = linalg.norm(sum, dims: [1]);
            if (lengths.eq(0).any().item<bool>())
                throw new UnsupportedCheckpointException(
                    $"{Magnitude.File.Path}: a row of {Target.Module.Name} has length 0, which DoRA cannot scale. Copy the adapter again."
                );
            sum.mul_((Magnitude.Read() / lengths).unsqueeze(1));
        }

        return (isTransposed ? sum.T : sum).contiguous().MoveToOuterDisposeScope();
    }
}
