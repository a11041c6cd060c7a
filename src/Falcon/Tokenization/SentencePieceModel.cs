using System.Buffers.Binary;
using System.Text;
using Falcon.Runtime;

namespace Falcon.Tokenization;

/// <summary>The type of a piece of a SentencePiece vocabulary.</summary>
internal enum SentencePieceType
{
    Normal = 1,
    Unknown = 2,
    Control = 3,
    UserDefined = 4,
    Unused = 5,
    Byte = 6,
}

/// <summary>A piece; its id is its position in the list.</summary>
internal readonly record struct SentencePiece(string Text, float Score, SentencePieceType Type);

/// <summary>
/// A SentencePiece model file (<c>tokenizer.model</c>), a protocol buffer: pieces (field 1: text 1, score 2, type 3), trainer settings
/// (field 2: model type 3, byte fallback 35), normalizer settings (field 3: compiled rules 2, dummy prefix 3, removal of extra white space
/// 4). Source: the published definition of the format. Other fields are ignored.
/// </summary>
internal sealed class SentencePieceModel
{
    private const int Bpe = 2;
    private static readonly string[] ModelTypes = ["", "unigram", "BPE", "word", "char"];
    private static readonly UTF8Encoding Strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private readonly List<SentencePiece> _pieces = [];

    private SentencePieceModel() { }

    public IReadOnlyList<SentencePiece> Pieces => _pieces;

    /// <summary>Whether a space is put before every text.</summary>
    public bool AddsDummyPrefix { get; private set; } = true;

    /// <summary>Whether characters outside the vocabulary become their bytes.</summary>
    public bool ByteFallback { get; private set; }

    private int ModelType { get; set; } = 1;

    private bool RemovesWhiteSpace { get; set; } = true;

    private bool HasRules { get; set; }

    /// <summary>Reads a file. Only byte-pair encoding without normalization rules is supported.</summary>
    /// <exception cref="UnsupportedCheckpointException">The file is damaged or of another kind, which the message names.</exception>
    public static SentencePieceModel Read(string path)
    {
        var model = new SentencePieceModel();
        try
        {
            model.ReadModel(File.ReadAllBytes(path));
        }
        catch (Exception error) when (error is FormatException or DecoderFallbackException or ArgumentException)
        {
            throw new UnsupportedCheckpointException(
                $"{path}: not a readable SentencePiece model ({error.Message.TrimEnd('.')}). Copy the file again.",
                error
            );
        }

        if (model.ModelType != Bpe)
            throw Refused(path, $"a {(model.ModelType < ModelTypes.Length ? ModelTypes[model.ModelType] : "unknown")} model is");
        if (model.HasRules)
            throw Refused(path, "compiled normalization rules are");
        if (model.RemovesWhiteSpace)
            throw Refused(path, "the removal of extra white space is");
        if (model._pieces.Select(piece => piece.Text).Distinct().Count() != model._pieces.Count)
            throw new UnsupportedCheckpointException($"{path}: a piece occurs twice. Copy the file again.");
        return model;
    }

    private static UnsupportedCheckpointException Refused(string path, string what) =>
        new(
            $"{path}: {what} not supported; only byte-pair encoding without rules is (Llama 2, Mistral, Gemma). "
                + "Save the tokenizer with a recent version of transformers, which writes tokenizer.json, and put that file here."
        );

    private void ReadModel(ReadOnlySpan<byte> bytes)
    {
        while (Next(ref bytes, out var field, out _, out var content))
        {
            if (field == 1) _pieces.Add(ReadPiece(content));
            if (field == 2) ReadTrainer(content);
            if (field == 3) ReadNormalizer(content);
        }

        if (_pieces.Count == 0) throw new FormatException("it holds no piece");
    }

    private static SentencePiece ReadPiece(ReadOnlySpan<byte> bytes)
    {
        var (text, score, type) = ("", 0f, SentencePieceType.Normal);
        while (Next(ref bytes, out var field, out var number, out var content))
        {
            if (field == 1)
                text = Strict.GetString(content);
            if (field == 2)
                score = BitConverter.Int32BitsToSingle((int)number);
            if (field == 3)
                type = number is >= 1 and <= 6
                    ? (SentencePieceType)number
                    : throw new FormatException($"a piece has the unknown type {number}");
        }

        return new SentencePiece(text, score, type);
    }

    private void ReadTrainer(ReadOnlySpan<byte> bytes)
    {
        while (Next(ref bytes, out var field, out var number, out _))
        {
            if (field == 3) ModelType = (int)Math.Min(number, int.MaxValue);
            if (field == 35) ByteFallback = number != 0;
        }
    }

    private void ReadNormalizer(ReadOnlySpan<byte> bytes)
    {
        while (Next(ref bytes, out var field, out var number, out var content))
        {
            if (field == 2) HasRules = content.Length > 0;
            if (field == 3) AddsDummyPrefix = number != 0;
            if (field == 4) RemovesWhiteSpace = number != 0;
        }
    }

    /// <summary>
    /// Reads the next field: its number, and either its numeric value (varint, 32 or 64 bits) or its bytes.
    /// </summary>
    private static bool Next(ref ReadOnlySpan<byte> bytes, out int field, out ulong number, out ReadOnlySpan<byte> content)
    {
        (field, number) = (0, 0);
        content = default;
        if (bytes.IsEmpty) return false;
        var key = Varint(ref bytes);
        field = (int)Math.Min(key >> 3, int.MaxValue);
        switch (key & 7)
        {
            case 0: number = Varint(ref bytes); break;
            case 1: number = BinaryPrimitives.ReadUInt64LittleEndian(Take(ref bytes, 8)); break;
            case 2: content = Take(ref bytes, Varint(ref bytes)); break;
            case 5: number = BinaryPrimitives.ReadUInt32LittleEndian(Take(ref bytes, 4)); break;
            case var kind: throw new FormatException($"a field of kind {kind}");
        }

        return true;
    }

    private static ReadOnlySpan<byte> Take(ref ReadOnlySpan<byte> bytes, ulong count)
    {
        if (count > (ulong)bytes.Length) throw new FormatException("it ends in the middle of a field");
        var taken = bytes[..(int)count];
        bytes = bytes[(int)count..];
        return taken;
    }

    private static ulong Varint(ref ReadOnlySpan<byte> bytes)
    {
        var value = 0UL;
        for (var shift = 0; shift < 64; shift += 7)
        {
            var part = Take(ref bytes, 1)[0];
            value |= (ulong)(part & 0x7F) << shift;
            if (part < 0x80) return value;
        }

        throw new FormatException("a number of more than 64 bits");
    }
}
