namespace Falcon.Exchange.Gguf;

/// <summary>
/// What differs between a tensor of a Hugging Face checkpoint and the same in a GGUF file: the order of its rows, one added to every value
/// (norms that scale by 1 + weight), or rows and columns exchanged. Source: llama.cpp's converter, whose output is in the fixtures.
/// </summary>
/// <param name="HeadSize">Size D of a head where rows change their places; else 0.</param>
/// <param name="Heads">Number of heads where queries, keys and values are regrouped; 0 where the halves of each head interleave.</param>
/// <param name="AddsOne">Whether the file holds 1 + weight.</param>
/// <param name="IsTransposed">Whether the file holds the transpose.</param>
internal sealed record RowOrder(int HeadSize = 0, int Heads = 0, bool AddsOne = false, bool IsTransposed = false)
{
    /// <summary>The same in both.</summary>
    public static RowOrder Same { get; } = new();

    /// <summary>1 + weight in the file.</summary>
    public static RowOrder PlusOne { get; } = new(AddsOne: true);

    /// <summary>[in, out] in the checkpoint, [out, in] in the file.</summary>
    public static RowOrder Transposed { get; } = new(IsTransposed: true);

    /// <summary>Rows [heads, 2, D/2] in the checkpoint, [heads, D/2, 2] in the file: pairs that rotate are neighbours there.</summary>
    public static RowOrder Interleaved(int headSize) => new(headSize);

    /// <summary>Rows [heads, 3, D] in the checkpoint, [3, heads, D] in the file: all queries, then all keys, then all values.</summary>
    public static RowOrder Regrouped(int headSize, int heads) => new(headSize, heads);

    /// <summary>Whether rows change their places.</summary>
    public bool MovesRows => HeadSize > 0;

    /// <summary>The row of the file that is a row of the checkpoint.</summary>
    public long InFile(long row)
    {
        if (HeadSize == 0)
            return row;
        var (group, place) = Math.DivRem(row, HeadSize);
        if (Heads > 0)
            return (group % 3 * Heads + group / 3) * HeadSize + place;
        var (half, pair) = Math.DivRem(place, HeadSize / 2);
        return group * HeadSize + pair * 2 + half;
    }

    /// <summary>The row of the checkpoint that is a row of the file.</summary>
    public long InCheckpoint(long row)
    {
        if (HeadSize == 0)
            return row;
        var (group, place) = Math.DivRem(row, HeadSize);
        if (Heads > 0)
            return (group % Heads * 3 + group / Heads) * HeadSize + place;
        var (pair, half) = Math.DivRem(place, 2);
        return group * HeadSize + half * (HeadSize / 2) + pair;
    }
}
