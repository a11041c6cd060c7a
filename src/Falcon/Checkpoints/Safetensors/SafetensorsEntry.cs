namespace Falcon.Checkpoints.Safetensors;

/// <summary>One tensor as the header of a safetensors file describes it.</summary>
/// <param name="Name">State-dict name. It can be any text: never use it as a path.</param>
/// <param name="DType">Element type as the format spells it: <c>F32</c>, <c>BF16</c>, <c>F16</c>, <c>I64</c>, …</param>
/// <param name="Shape">Dimensions; empty for a scalar.</param>
/// <param name="Begin">First byte, counted from the start of the data section.</param>
/// <param name="End">One past the last byte, counted from the start of the data section.</param>
public sealed record SafetensorsEntry(string Name, string DType, long[] Shape, long Begin, long End)
{
    /// <summary>Number of bytes, <see cref="End"/> - <see cref="Begin"/>.</summary>
    public long ByteLength => End - Begin;
}
