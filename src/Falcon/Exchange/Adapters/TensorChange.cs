using static TorchSharp.torch;

namespace Falcon.Exchange.Adapters;

/// <summary>
/// What an adapter does to one stored tensor: another start, then a low-rank change or an addition. Neither leaves it as it is.
/// </summary>
/// <param name="Module">The module of the tensor.</param>
internal sealed record TensorChange(BaseModule Module)
{
    /// <summary>Values in place of the base's; null for those.</summary>
    public AdapterTensor? Start { get; init; }

    /// <summary>The change of a matrix; null for none.</summary>
    public LowRankChange? LowRank { get; init; }

    /// <summary>What is added to a bias; null for nothing.</summary>
    public AdapterTensor? Added { get; init; }

    /// <summary>What <see cref="Added"/> is multiplied by.</summary>
    public double AddedScale { get; init; }

    /// <summary>The new values, float32; the caller's dispose scope owns them.</summary>
    /// <param name="stored">Reads the base's values, any floating type.</param>
    public Tensor Values(Func<Tensor> stored)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var start = Start is null ? stored().to(float32) : Start.Read();
        var changed = LowRank is null ? start : LowRank.Apply(start);
        if (Added is not null)
            changed = changed + Added.Read() * AddedScale;
        return changed.MoveToOuterDisposeScope();
    }
}
