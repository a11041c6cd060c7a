using Falcon.Models.Families;
using static TorchSharp.torch;

namespace Falcon.Models;

/// <summary>The functions that a decoder layer consists of, without weights of their own. Arguments are borrowed.</summary>
internal static class DecoderFunctions
{
    /// <summary>Normalises the last dimension of x; statistics are computed in float32.</summary>
    /// <param name="kind">The formula.</param>
    /// <param name="x">Any shape [.., N].</param>
    /// <param name="weight">The scale [N].</param>
    /// <param name="bias">The shift [N] of a layer norm; null for none.</param>
    /// <param name="epsilon">Added under the root.</param>
    public static Tensor Norm(NormKind kind, Tensor x, Tensor weight, Tensor? bias, double epsilon)
    {
        using var scope = NewDisposeScope();
        if (kind == NormKind.LayerNorm)
            return nn.functional.layer_norm(x, [x.shape[^1]], weight, bias, epsilon).MoveToOuterDisposeScope();
        var wide = x.to(float32);
        var normalised = wide * (wide.pow(2).mean([-1L], true) + epsilon).rsqrt();
        var scaled = kind == NormKind.RootMeanSquare
            ? normalised.to(x.dtype) * weight
            : (normalised * (weight.to(float32) + 1)).to(x.dtype);
        return scaled.MoveToOuterDisposeScope();
    }

    /// <summary>x Wᵀ + b for x [.., in].</summary>
    /// <param name="x">The input.</param>
    /// <param name="weight">W [out, in], or [in, out] when <paramref name="transposed"/>.</param>
    /// <param name="bias">b [out]; null for none.</param>
    /// <param name="transposed">How the weight is stored.</param>
    public static Tensor Linear(Tensor x, Tensor weight, Tensor? bias, bool transposed)
    {
        if (!transposed) return nn.functional.linear(x, weight, bias);
        using var scope = NewDisposeScope();
        return nn.functional.linear(x, weight.t(), bias).MoveToOuterDisposeScope();
    }

    /// <summary>The activation function of an MLP, elementwise.</summary>
    public static Tensor Activate(ActivationKind kind, Tensor x)
    {
        if (kind == ActivationKind.Silu) return nn.functional.silu(x);
        if (kind == ActivationKind.Gelu) return nn.functional.gelu(x);
        using var scope = NewDisposeScope();
        var wide = x.to(float32);
        var tanh = ((wide + wide.pow(3) * 0.044715) * Math.Sqrt(2 / Math.PI)).tanh();
        return (wide * 0.5 * (tanh + 1)).to(x.dtype).MoveToOuterDisposeScope();
    }

    /// <summary>Soft cap: cap · tanh(x / cap).</summary>
    public static Tensor Capped(Tensor x, double cap)
    {
        using var scope = NewDisposeScope();
        return ((x / cap).tanh() * cap).MoveToOuterDisposeScope();
    }

    /// <summary>Splits projections [B, T, A · D] into heads [B, A, T, D]; a view.</summary>
    public static Tensor Heads(Tensor projected, int heads, int headSize) =>
        projected.view(projected.shape[0], projected.shape[1], heads, headSize).transpose(1, 2);

    /// <summary>Repeats each key or value head for the query heads that share it: [B, A, T, D] to [B, A · group, T, D].</summary>
    public static Tensor Repeat(Tensor heads, int group)
    {
        using var scope = NewDisposeScope();
        var shape = heads.shape;
        return heads
            .unsqueeze(2)
            .expand(shape[0], shape[1], group, shape[2], shape[3])
            .reshape(shape[0], shape[1] * group, shape[2], shape[3])
            .MoveToOuterDisposeScope();
    }

    /// <summary>Attention by its formula, with the softmax in float32: softmax(cap(q kᵀ / divisor) + mask) v, [B, A, T, D].</summary>
    /// <param name="query">[B, A, T, D].</param>
    /// <param name="key">[B, A, K, D].</param>
    /// <param name="value">[B, A, K, D].</param>
    /// <param name="mask">The additive mask, broadcast to [B, A, T, K].</param>
    /// <param name="divisor">Divides the scores.</param>
    /// <param name="cap">Soft cap of the scores; null for none.</param>
    public static Tensor Attention(Tensor query, Tensor key, Tensor value, Tensor mask, double divisor, double? cap)
    {
        using var scope = NewDisposeScope();
        var scores = query.matmul(key.transpose(2, 3)) / divisor; // [B, A, T, K]
        if (cap is { } bound) scores = Capped(scores, bound);
        return nn.functional.softmax((scores + mask).to(float32), -1).to(query.dtype).matmul(value).MoveToOuterDisposeScope();
    }
}
