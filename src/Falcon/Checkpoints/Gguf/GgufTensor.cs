namespace Falcon.Checkpoints.Gguf;

/// <summary>A tensor of a GGUF file.</summary>
/// <param name="Name">Its name there, such as <c>blk.0.attn_q.weight</c>.</param>
/// <param name="Type">Number type.</param>
/// <param name="Shape">Sizes, the slowest first: rows, then columns (the file has them the other way round).</param>
/// <param name="Begin">First byte in the file.</param>
internal sealed record GgufTensor(string Name, GgufType Type, IReadOnlyList<long> Shape, long Begin)
{
    /// <summary>Number of values.</summary>
    public long Count => Shape.Aggregate(1L, (product, size) => product * size);

    /// <summary>Bytes in the file.</summary>
    public long ByteLength => Type.Bytes(Count);

    /// <summary>The shape as text.</summary>
    public string ShapeText => $"[{string.Join(", ", Shape)}]";
}
