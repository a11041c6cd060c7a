namespace Falcon.Checkpoints.Gguf;

/// <summary>A number type of GGUF tensors: values in blocks along the columns, each block with its own scale.</summary>
/// <param name="Id">The number that stands in files.</param>
/// <param name="Name">Its usual name.</param>
/// <param name="BlockSize">Values in a block.</param>
/// <param name="BlockBytes">Bytes of a block.</param>
/// <param name="Decode">Gives the values of one block.</param>
internal sealed record GgufType(uint Id, string Name, int BlockSize, int BlockBytes, BlockDecoder Decode)
{
    private static readonly GgufType[] Read =
    [
        new(0, "F32", 1, 4, PlainBlocks.F32),
        new(1, "F16", 1, 2, PlainBlocks.F16),
        new(30, "BF16", 1, 2, PlainBlocks.BF16),
        new(2, "Q4_0", 32, 18, PlainBlocks.Q4_0),
        new(3, "Q4_1", 32, 20, PlainBlocks.Q4_1),
        new(6, "Q5_0", 32, 22, PlainBlocks.Q5_0),
        new(7, "Q5_1", 32, 24, PlainBlocks.Q5_1),
        new(8, "Q8_0", 32, 34, PlainBlocks.Q8_0),
        new(10, "Q2_K", 256, 84, SuperBlocks.Q2_K),
        new(11, "Q3_K", 256, 110, SuperBlocks.Q3_K),
        new(12, "Q4_K", 256, 144, SuperBlocks.Q4_K),
        new(13, "Q5_K", 256, 176, SuperBlocks.Q5_K),
        new(14, "Q6_K", 256, 210, SuperBlocks.Q6_K),
        new(20, "IQ4_NL", 32, 18, LevelBlocks.IQ4_NL),
        new(23, "IQ4_XS", 256, 136, LevelBlocks.IQ4_XS),
        new(39, "MXFP4", 32, 17, LevelBlocks.MXFP4),
    ];

    private static readonly Dictionary<uint, string> NotRead = new()
    {
        [4] = "Q4_2, which was removed from the format",
        [5] = "Q4_3, which was removed from the format",
        [9] = "Q8_1",
        [15] = "Q8_K",
        [16] = "IQ2_XXS",
        [17] = "IQ2_XS",
        [18] = "IQ3_XXS",
        [19] = "IQ1_S",
        [21] = "IQ3_S",
        [22] = "IQ2_S",
        [24] = "I8",
        [25] = "I16",
        [26] = "I32",
        [27] = "I64",
        [28] = "F64",
        [29] = "IQ1_M",
        [34] = "TQ1_0",
        [35] = "TQ2_0",
    };

    /// <summary>The types that are read, by name.</summary>
    public static IReadOnlyList<GgufType> All => Read;

    /// <summary>The type with a number.</summary>
    /// <exception cref="FormatException">It is unknown or not read; the message names it.</exception>
    public static GgufType Of(uint id) =>
        Array.Find(Read, type => type.Id == id)
        ?? throw new FormatException(
            $"has type {id} ({NotRead.GetValueOrDefault(id, "unknown")}); read are {string.Join(", ", Read.Select(type => type.Name))}"
        );

    /// <summary>The type of a name.</summary>
    public static GgufType Named(string name) => Array.Find(Read, type => type.Name == name) ?? throw new ArgumentException(name);

    /// <summary>Bytes of that many values, which fill whole blocks.</summary>
    public long Bytes(long values) => values / BlockSize * BlockBytes;

    /// <summary>The values of whole blocks.</summary>
    /// <param name="bytes">Blocks, one after the other.</param>
    /// <param name="values">Room for <see cref="BlockSize"/> values a block.</param>
    public void Dequantize(ReadOnlySpan<byte> bytes, Span<float> values)
    {
        for (var (from, to) = (0, 0); from < bytes.Length; from += BlockBytes, to += BlockSize)
            Decode(bytes.Slice(from, BlockBytes), values.Slice(to, BlockSize));
    }
}

/// <summary>Gives the values of one block.</summary>
/// <param name="block">Its bytes.</param>
/// <param name="values">Room for its values.</param>
internal delegate void BlockDecoder(ReadOnlySpan<byte> block, Span<float> values);
