using System.Runtime.InteropServices;
using Falcon.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Falcon.Checkpoints.Safetensors;

/// <summary>Converts tensors to and from the bytes of a safetensors file (little-endian, row-major), block by block.</summary>
public static class TensorBytes
{
    private const int ChunkLength = 1 << 26;

    private static readonly (string Name, ScalarType Type)[] Types =
    [
        ("F32", ScalarType.Float32),
        ("BF16", ScalarType.BFloat16),
        ("F16", ScalarType.Float16),
        ("F64", ScalarType.Float64),
        ("I64", ScalarType.Int64),
        ("I32", ScalarType.Int32),
        ("I16", ScalarType.Int16),
        ("I8", ScalarType.Int8),
        ("U8", ScalarType.Byte),
    ];

    /// <summary>A CPU tensor of the given shape with a copy of the bytes, which may have any alignment.</summary>
    /// <param name="bytes">Exactly the tensor's bytes.</param>
    /// <param name="dtype">F32, BF16, F16, F64, I64, I32, I16, I8 or U8.</param>
    /// <param name="shape">Dimensions; empty for a scalar.</param>
    /// <exception cref="UnsupportedCheckpointException">The dtype is not supported, or libtorch refuses the shape.</exception>
    /// <exception cref="ArgumentException">The number of bytes does not match dtype and shape.</exception>
    public static Tensor ToTensor(ReadOnlySpan<byte> bytes, string dtype, ReadOnlySpan<long> shape)
    {
        if (SafetensorsDType.ByteLength(dtype, shape, out var reason) is not { } length)
            throw new UnsupportedCheckpointException(reason);
        if (length != (ulong)bytes.Length)
            throw new ArgumentException($"{dtype} of this shape needs {length} bytes, {bytes.Length} are given", nameof(bytes));
        var tensor = Empty(dtype, shape);
        if (bytes.Length > 0) bytes.CopyTo(tensor.bytes);
        return tensor;
    }

    /// <summary>Reads one tensor of a file, of any size, into a CPU tensor.</summary>
    /// <exception cref="UnsupportedCheckpointException">
    /// The dtype is not supported, or libtorch refuses the shape; the message names file and tensor.
    /// </exception>
    public static Tensor ToTensor(SafetensorsFile file, SafetensorsEntry entry)
    {
        try
        {
            using var scope = NewDisposeScope();
            if (SafetensorsDType.ByteLength(entry.DType, entry.Shape, out var reason) is null)
                throw new UnsupportedCheckpointException(reason);
            var tensor = Empty(entry.DType, entry.Shape);
            ForEachBlock(tensor.view(-1), (block, offset) => file.Read(entry, offset, block));
            return tensor.MoveToOuterDisposeScope();
        }
        catch (UnsupportedCheckpointException error)
        {
            throw new UnsupportedCheckpointException($"{file.Path}: tensor '{entry.Name}': {error.Message}", error);
        }
    }

    /// <summary>Writes the elements of a tensor on any device and with any strides to a stream, row-major, in the tensor's dtype.</summary>
    /// <exception cref="ArgumentException">The dtype is none of those that are read and written.</exception>
    public static void Write(Tensor tensor, Stream destination)
    {
        using var scope = NewDisposeScope();
        using var gradients = no_grad();
        _ = DTypeName(tensor.dtype);
        ForEachBlock(tensor.detach().cpu().contiguous().view(-1), (block, _) => destination.Write(block));
    }

    /// <summary>The safetensors name of a tensor dtype, such as <c>BF16</c>.</summary>
    /// <exception cref="ArgumentException">The dtype is none of those that are read and written.</exception>
    public static string DTypeName(ScalarType type)
    {
        var found = Array.Find(Types, known => known.Type == type).Name;
        return found ?? throw new ArgumentException($"tensors of type {type} cannot be written as safetensors", nameof(type));
    }

    /// <summary>The tensor dtype of a safetensors name.</summary>
    /// <exception cref="UnsupportedCheckpointException">The dtype is not supported.</exception>
    public static ScalarType TypeOf(string dtype)
    {
        var (name, type) = Array.Find(Types, known => known.Name == dtype);
        return name is not null ? type : throw new UnsupportedCheckpointException($"dtype {dtype} cannot be loaded as a tensor");
    }

    /// <summary>Bytes of one element.</summary>
    public static int ElementSize(ScalarType type) => type.ElementSize();

    /// <summary>The bits of the bfloat16 nearest to a finite value, ties to even.</summary>
    internal static ushort NearestBfloat16(float value)
    {
        var bits = BitConverter.SingleToUInt32Bits(value);
        return (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
    }

    private static Tensor Empty(string dtype, ReadOnlySpan<long> shape)
    {
        var type = TypeOf(dtype);
        try
        {
            return empty(shape.ToArray(), type, CPU);
        }
        catch (ExternalException error)
        {
            throw new UnsupportedCheckpointException($"libtorch refuses the shape: {error.Message}", error);
        }
    }

    private delegate void BlockAction(Span<byte> block, long offset);

    /// <summary>Visits the memory of a flat, contiguous CPU tensor block by block, since a span holds less than 2 GB.</summary>
    private static void ForEachBlock(Tensor flat, BlockAction visit)
    {
        var elements = flat.numel();
        var perBlock = ChunkLength / flat.ElementSize;
        for (var start = 0L; start < elements; start += perBlock)
        {
            using var block = flat.narrow(0, start, Math.Min(perBlock, elements - start));
            visit(block.bytes, start * flat.ElementSize);
        }
    }
}
