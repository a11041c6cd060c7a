using Falcon.Engine;
using Falcon.Results;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Runs;

/// <summary>
/// A copy of the trained parameters as they were when they were measured best (<see cref="Measurement.IsBetterThan"/>). Owns the copy.
/// </summary>
internal sealed class BestStep(TrainedParameters trained, double? utilityBudget) : IDisposable
{
    private Tensor[] _values = [];

    /// <summary>The measurement of the copy; null before the first.</summary>
    public Measurement? Measurement { get; private set; }

    /// <summary>The copied parameters, float32, in the order of the names; empty before the first. Borrowed.</summary>
    public IReadOnlyList<Tensor> Values => _values;

    /// <summary>Takes a copy of the parameters if they are better than what is kept.</summary>
    /// <returns>Whether they were.</returns>
    public bool Offer(Measurement measurement)
    {
        if (!measurement.IsBetterThan(Measurement, utilityBudget)) return false;
        Keep(measurement, [.. trained.Masters.Select(Copy)]);
        return true;
    }

    /// <summary>Puts a saved copy back, for a resumed run. The tensors are taken over.</summary>
    public void Keep(Measurement measurement, Tensor[] values)
    {
        Dispose();
        (Measurement, _values) = (measurement, values);
    }

    /// <summary>Gives the trained parameters the values of the copy, bit for bit.</summary>
    public void Restore()
    {
        for (var i = 0; i < _values.Length; i++) trained.Load(i, _values[i]);
    }

    /// <summary>A copy of a master, float32, that no scope owns.</summary>
    internal static Tensor Copy(BlockTensor master)
    {
        using var guard = no_grad();
        using var scope = NewDisposeScope();
        var copy = empty([.. master.Shape], dtype: float32);
        foreach (var (start, count) in master.Blocks())
        {
            using var inner = NewDisposeScope();
            copy.view(-1).narrow(0, start, count).copy_(master.Read(start, count));
        }

        return copy.DetachFromDisposeScope();
    }

    /// <summary>Releases the copy.</summary>
    public void Dispose()
    {
        foreach (var value in _values) value.Dispose();
        _values = [];
    }
}
