using static TorchSharp.torch;

namespace Falcon.Runtime;

/// <summary>
/// The float32 values of one tensor, read and changed in blocks of consecutive elements, whether they are in memory or in a scratch file.
/// Elementwise work on a block stays in the processor's cache, and a tensor in a file takes one block of memory.
/// </summary>
public sealed class BlockTensor : IDisposable
{
    // 4 MiB: work enough to outweigh the cost of starting an operation, small enough for the cache. A GPU wants more work at a time.
    private const long ProcessorBlock = 1 << 20;
    private const long DeviceBlock = 1 << 26;

    private readonly Tensor? _values;
    private readonly bool _owned;
    private readonly ScratchFile? _file;
    private readonly long _place;

    private BlockTensor(long[] shape, Tensor? values, bool owned, ScratchFile? file, long place)
    {
        (Shape, _values, _owned, _file, _place) = (shape, values, owned, file, place);
        Length = shape.Aggregate(1L, (product, size) => product * size);
        BlockLength = values is { device.type: not TorchSharp.DeviceType.CPU } ? DeviceBlock : ProcessorBlock;
    }

    /// <summary>Dimensions of the tensor.</summary>
    public IReadOnlyList<long> Shape { get; }

    /// <summary>Number of elements.</summary>
    public long Length { get; }

    /// <summary>Elements of a block; the last one may have fewer.</summary>
    public long BlockLength { get; }

    /// <summary>The tensor itself when it is in memory, otherwise null; borrowed.</summary>
    public Tensor? InMemory => _values;

    /// <summary>Wraps a borrowed, contiguous float32 tensor, which changes in place.</summary>
    /// <exception cref="ArgumentException">It is not float32.</exception>
    public static BlockTensor Borrow(Tensor values) => values.dtype == float32
        ? new BlockTensor(values.shape, values, owned: false, null, 0)
        : throw new ArgumentException($"block tensors are float32, not {values.dtype}", nameof(values));

    /// <summary>Copies values, which the new object owns: in memory, or in a scratch file if one is given.</summary>
    /// <param name="values">Initial values, borrowed; any floating type.</param>
    /// <param name="file">The file; null for memory.</param>
    public static BlockTensor CopyOf(Tensor values, ScratchFile? file)
    {
        using var guard = no_grad();
        using var scope = NewDisposeScope();
        if (file is null)
        {
            var copy = values.detach().to(float32, true).contiguous().DetachFromDisposeScope();
            return new BlockTensor(values.shape, copy, owned: true, null, 0);
        }

        var made = Reserve(values.shape, file);
        made.Fill(values);
        return made;
    }

    /// <summary>Zeros of the shape of another tensor: in memory on its device, or in a scratch file if one is given.</summary>
    public static BlockTensor ZerosLike(BlockTensor other, ScratchFile? file)
    {
        using var guard = no_grad();
        using var scope = NewDisposeScope();
        long[] shape = [.. other.Shape];
        if (file is null)
        {
            var values = zeros(shape, float32, other._values?.device ?? CPU).DetachFromDisposeScope();
            return new BlockTensor(shape, values, owned: true, null, 0);
        }

        var made = Reserve(shape, file);
        var block = zeros(Math.Min(made.Length, made.BlockLength), float32);
        for (long start = 0; start < made.Length; start += made.BlockLength)
            made.Write(start, block.narrow(0, 0, Math.Min(made.BlockLength, made.Length - start)));
        return made;
    }

    private static BlockTensor Reserve(long[] shape, ScratchFile file) =>
        new(shape, null, owned: false, file, file.Reserve(shape.Aggregate(1L, (product, size) => product * size) * sizeof(float)));

    /// <summary>The first element of each block and the number of its elements.</summary>
    public IEnumerable<(long Start, long Count)> Blocks()
    {
        for (long start = 0; start < Length; start += BlockLength) yield return (start, Math.Min(BlockLength, Length - start));
    }

    /// <summary>
    /// Elements <paramref name="start"/> to <paramref name="start"/> + <paramref name="count"/>, flat: a view when the values are in
    /// memory, otherwise a copy. The caller's scope owns it.
    /// </summary>
    public Tensor Read(long start, long count)
    {
        using var scope = NewDisposeScope();
        if (_values is not null) return _values.detach().view(-1).narrow(0, start, count).MoveToOuterDisposeScope();
        var block = empty(count, float32);
        _file!.Read(_place + start * sizeof(float), block.bytes);
        return block.MoveToOuterDisposeScope();
    }

    /// <summary>
    /// Stores changed elements; costs nothing when <paramref name="block"/> is the view that <see cref="Read"/> returned.
    /// </summary>
    public void Write(long start, Tensor block)
    {
        if (_values is null) _file!.Write(_place + start * sizeof(float), block.bytes);
    }

    /// <summary>Replaces all values.</summary>
    /// <param name="values">Same shape, any floating type; borrowed.</param>
    public void Fill(Tensor values)
    {
        using var guard = no_grad();
        using var scope = NewDisposeScope();
        var flat = values.detach().reshape(-1);
        foreach (var (start, count) in Blocks())
        {
            using var inner = NewDisposeScope();
            if (_values is not null) Read(start, count).copy_(flat.narrow(0, start, count));
            else Write(start, flat.narrow(0, start, count).to(float32).cpu().contiguous());
        }
    }

    /// <summary>All values in one new tensor of shape <see cref="Shape"/>; the caller's scope owns it.</summary>
    public Tensor Whole()
    {
        using var guard = no_grad();
        using var scope = NewDisposeScope();
        return (_values is not null ? _values.detach().clone() : Read(0, Length).view([.. Shape])).MoveToOuterDisposeScope();
    }

    /// <summary>Writes all values to a stream, block by block, little-endian float32.</summary>
    public void CopyTo(Stream destination)
    {
        foreach (var (start, count) in Blocks())
        {
            using var scope = NewDisposeScope();
            destination.Write(Read(start, count).cpu().bytes);
        }
    }

    /// <summary>Releases owned memory; space in a file is not given back.</summary>
    public void Dispose()
    {
        if (_owned) _values!.Dispose();
    }
}
