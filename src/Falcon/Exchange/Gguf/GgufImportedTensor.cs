using System.Buffers.Binary;
using Falcon.Checkpoints.Gguf;
using Falcon.Checkpoints.Safetensors;
using Falcon.Runtime;

namespace Falcon.Exchange.Gguf;

/// <summary>A tensor of a GGUF file under its Hugging Face name.</summary>
/// <param name="Place">Both names, and what differs in the file.</param>
/// <param name="Source">The tensor in the file.</param>
internal sealed record GgufImportedTensor(GgufTensorName Place, GgufTensor Source)
{
    private const int ValuesAtOnce = 1 << 20;

    /// <summary>The Hugging Face name.</summary>
    public string Name => Place.Hub;

    private RowOrder Order => Place.Order;

    /// <summary>Writes the values, row by row, as little-endian numbers of a type.</summary>
    /// <param name="file">The file of <see cref="Source"/>.</param>
    /// <param name="dtype">F32, BF16 or F16.</param>
    /// <param name="target">Where the bytes go.</param>
    /// <exception cref="UnsupportedCheckpointException">A value is not finite.</exception>
    public void Write(GgufFile file, string dtype, Stream target)
    {
        var columns = Source.Shape[^1];
        if (Source.Shape.Count == 1) // a vector: its rows are single values, and blocks run along it
        {
            var whole = new float[columns];
            file.Read(Source, 0, whole);
            if (Order.AddsOne)
                foreach (ref var value in whole.AsSpan())
                    value -= 1;
            target.Write(Bytes([.. Enumerable.Range(0, whole.Length).Select(i => whole[Order.InFile(i)])], dtype));
            return;
        }

        if (Order.IsTransposed)
        {
            WriteTransposed(file, dtype, target);
            return;
        }

        var rows = Source.Count / columns;
        var atOnce = (int)Math.Clamp(ValuesAtOnce / columns, 1, rows);
        var values = new float[atOnce * columns];
        for (var row = 0L; row < rows; row += atOnce)
        {
            var count = (int)Math.Min(atOnce, rows - row);
            if (!Order.MovesRows)
                file.Read(Source, row * columns, values.AsSpan(0, (int)(count * columns)));
            else
                for (var i = 0; i < count; i++)
                    file.Read(Source, Order.InFile(row + i) * columns, values.AsSpan((int)(i * columns), (int)columns));
            target.Write(Bytes(values.AsSpan(0, (int)(count * columns)), dtype));
        }
    }

    private void WriteTransposed(GgufFile file, string dtype, Stream target)
    {
        var (rows, columns) = (Source.Shape[0], Source.Shape[1]); // of the file: outputs, inputs
        var whole = new float[rows * columns];
        file.Read(Source, 0, whole);
        var values = new float[rows];
        for (var column = 0L; column < columns; column++)
        {
            for (var row = 0L; row < rows; row++)
                values[row] = whole[row * columns + column];
            target.Write(Bytes(values, dtype));
        }
    }

    private byte[] Bytes(ReadOnlySpan<float> values, string dtype)
    {
        var bytes = new byte[values.Length * (dtype == "F32" ? 4 : 2)];
        for (var i = 0; i < values.Length; i++)
            switch (dtype)
            {
                case "F32":
                    BinaryPrimitives.WriteSingleLittleEndian(bytes.AsSpan(i * 4), values[i]);
                    break;
                case "F16":
                    var half = (Half)values[i];
                    if (Half.IsInfinity(half))
                        throw new UserInputException(
                            $"{Source.Name} holds {values[i]:G4}, too large for float16; use bfloat16 or float32."
                        );
                    BinaryPrimitives.WriteHalfLittleEndian(bytes.AsSpan(i * 2), half);
                    break;
                default:
                    BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(i * 2), TensorBytes.NearestBfloat16(values[i]));
                    break;
            }

        return bytes;
    }
}
