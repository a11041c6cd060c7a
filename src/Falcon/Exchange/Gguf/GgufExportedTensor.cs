using System.Globalization;
using System.Runtime.InteropServices;
using Falcon.Checkpoints.Gguf;
using Falcon.Checkpoints.Safetensors;
using Falcon.Runtime;

namespace Falcon.Exchange.Gguf;

/// <summary>
/// A tensor of a checkpoint on its way into a GGUF file. At most some rows of it are in memory, or one matrix to transpose.
/// </summary>
/// <param name="file">The file that holds it.</param>
/// <param name="entry">Its place there.</param>
/// <param name="order">What differs in the GGUF file.</param>
/// <param name="type">Number type there.</param>
internal sealed class GgufExportedTensor(SafetensorsFile file, SafetensorsEntry entry, RowOrder order, GgufType type)
{
    private const int ValuesAtOnce = 1 << 20;

    private readonly int _size = entry.DType == "F32" ? 4 : 2;

    /// <summary>Writes the values, row by row.</summary>
    /// <exception cref="UnsupportedCheckpointException">A value is not finite.</exception>
    /// <exception cref="UserInputException">A value is too large for the type.</exception>
    public void Write(Stream target)
    {
        if (order.IsTransposed)
        {
            WriteTransposed(target);
            return;
        }

        var isVector = entry.Shape.Length == 1; // its rows are single values
        var columns = isVector ? 1 : entry.Shape[^1];
        var rows = entry.Shape.Aggregate(1L, (product, size) => product * size) / columns;
        var atOnce = (int)Math.Clamp(ValuesAtOnce / columns, 1, rows);
        if (isVector)
            atOnce = (int)rows; // blocks run along a vector
        var values = new float[atOnce * columns];
        for (var row = 0L; row < rows; row += atOnce)
        {
            var count = (int)Math.Min(atOnce, rows - row);
            var some = values.AsSpan(0, (int)(count * columns));
            if (order.MovesRows)
                for (var i = 0; i < count; i++)
                    Read(order.InCheckpoint(row + i) * columns, some.Slice((int)(i * columns), (int)columns));
            else
                Read(row * columns, some);
            if (order.AddsOne)
                foreach (ref var value in some)
                    value += 1;
            Encode(some, target);
        }
    }

    private void WriteTransposed(Stream target)
    {
        var (rows, columns) = ((int)entry.Shape[0], (int)entry.Shape[1]);
        var whole = new float[(long)rows * columns];
        for (var row = 0; row < rows; row++)
            Read((long)row * columns, whole.AsSpan(row * columns, columns));
        var values = new float[rows];
        for (var column = 0; column < columns; column++)
        {
            for (var row = 0; row < rows; row++)
                values[row] = whole[row * columns + column];
            Encode(values, target);
        }
    }

    private void Read(long from, Span<float> values)
    {
        var bytes = new byte[values.Length * _size];
        file.Read(entry, from * _size, bytes);
        switch (entry.DType)
        {
            case "F32":
                MemoryMarshal.Cast<byte, float>(bytes).CopyTo(values);
                break;
            case "F16":
                for (var i = 0; i < values.Length; i++)
                    values[i] = (float)MemoryMarshal.Cast<byte, Half>(bytes)[i];
                break;
            default:
                for (var i = 0; i < values.Length; i++)
                    values[i] = BitConverter.UInt32BitsToSingle((uint)MemoryMarshal.Cast<byte, ushort>(bytes)[i] << 16);
                break;
        }

        foreach (var value in values)
            if (!float.IsFinite(value))
                throw new UnsupportedCheckpointException(
                    $"{file.Path}: the tensor \"{entry.Name}\" holds a value that is not finite; nothing was written. Get an intact copy."
                );
    }

    private void Encode(ReadOnlySpan<float> values, Stream target)
    {
        var bytes = new byte[type.Bytes(values.Length)];
        try
        {
            BlockEncoding.Encode(type, values, bytes);
        }
        catch (OverflowException error)
        {
            throw new UserInputException(
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"{file.Path}: \"{entry.Name}\" holds {error.Message}, too large for {type.Name}; use --type bf16 or f32."
                ),
                error
            );
        }

        target.Write(bytes);
    }
}
