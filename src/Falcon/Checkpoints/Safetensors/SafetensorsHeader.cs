using System.Buffers.Text;
using System.Text.Json;
using System.Text.Unicode;

namespace Falcon.Checkpoints.Safetensors;

/// <summary>
/// The JSON header of a safetensors file, read strictly: whatever the reference reader rejects is rejected, and duplicate keys too.
/// </summary>
internal sealed class SafetensorsHeader
{
    /// <summary>The largest header that a reader accepts, in bytes.</summary>
    public const ulong MaximumLength = 100_000_000;

    /// <summary>The reserved key of the text metadata.</summary>
    public const string MetadataKey = "__metadata__";

    // The reference reader refuses the 128th level.
    private const int DeepestNesting = 127;

    private readonly Dictionary<string, string> _metadata = new(StringComparer.Ordinal);
    private readonly Dictionary<string, SafetensorsEntry> _entries = new(StringComparer.Ordinal);
    private bool _sawMetadata;

    private SafetensorsHeader() { }

    public IReadOnlyDictionary<string, string> Metadata => _metadata;

    /// <summary>The tensors in data order.</summary>
    public IReadOnlyList<SafetensorsEntry> Entries { get; private set; } = [];

    public IReadOnlyDictionary<string, SafetensorsEntry> ByName => _entries;

    /// <summary>Parses the header text and checks that the tensors cover <paramref name="dataLength"/> bytes exactly.</summary>
    /// <exception cref="FormatException">The header is not valid; the message gives the reason.</exception>
    public static SafetensorsHeader Parse(ReadOnlySpan<byte> text, long dataLength)
    {
        if (!Utf8.IsValid(text)) throw new FormatException("the header is not valid UTF-8");
        var header = new SafetensorsHeader();
        try
        {
            var reader = new Utf8JsonReader(text, new JsonReaderOptions { MaxDepth = DeepestNesting });
            reader.Read();
            Expect(reader.TokenType == JsonTokenType.StartObject, "the header is not a JSON object");
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName) header.ReadMember(ref reader);
            reader.Read(); // throws on anything but white space after the object
        }
        catch (JsonException error)
        {
            throw new FormatException($"the header is not valid JSON: {error.Message}", error);
        }
        catch (InvalidOperationException error)
        {
            throw new FormatException($"the header has a string that is not valid text: {error.Message}", error);
        }
        header.Entries = InDataOrder(header._entries.Values, dataLength);
        return header;
    }

    private void ReadMember(ref Utf8JsonReader reader)
    {
        var name = reader.GetString()!;
        reader.Read();
        if (name == MetadataKey)
        {
            Expect(!_sawMetadata, $"{MetadataKey} appears twice");
            _sawMetadata = true;
            ReadMetadata(ref reader);
            return;
        }
        var entry = ReadTensor(ref reader, name);
        Expect(_entries.TryAdd(name, entry), $"tensor '{name}' appears twice");
    }

    private void ReadMetadata(ref Utf8JsonReader reader)
    {
        if (reader.TokenType == JsonTokenType.Null) return;
        Expect(reader.TokenType == JsonTokenType.StartObject, $"{MetadataKey} is not an object");
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var key = reader.GetString()!;
            reader.Read();
            Expect(reader.TokenType == JsonTokenType.String, $"{MetadataKey} value '{key}' is not a string");
            Expect(_metadata.TryAdd(key, reader.GetString()!), $"{MetadataKey} key '{key}' appears twice");
        }
    }

    private static SafetensorsEntry ReadTensor(ref Utf8JsonReader reader, string name)
    {
        Expect(reader.TokenType == JsonTokenType.StartObject, $"tensor '{name}' is not described by an object");
        string? dtype = null;
        List<ulong>? shape = null, offsets = null;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var field = reader.GetString()!;
            reader.Read();
            switch (field)
            {
                case "dtype":
                    Expect(dtype is null && reader.TokenType == JsonTokenType.String, $"tensor '{name}': dtype must be one string");
                    dtype = reader.GetString()!;
                    break;
                case "shape":
                    Expect(shape is null, $"tensor '{name}': shape appears twice");
                    shape = ReadIntegers(ref reader, name, field, int.MaxValue);
                    break;
                case "data_offsets":
                    Expect(offsets is null, $"tensor '{name}': data_offsets appears twice");
                    offsets = ReadIntegers(ref reader, name, field, 2);
                    break;
                default:
                    SkipChecked(ref reader);
                    break;
            }
        }
        Expect(
            dtype is not null && shape is not null && offsets is { Count: 2 },
            $"tensor '{name}' needs dtype, shape and two data_offsets"
        );
        return Checked(name, dtype!, shape!, offsets![0], offsets[1]);
    }

    private static SafetensorsEntry Checked(string name, string dtype, List<ulong> shape, ulong begin, ulong end)
    {
        var dimensions = new long[shape.Count];
        for (var i = 0; i < dimensions.Length; i++)
        {
            Expect(shape[i] <= long.MaxValue, $"tensor '{name}': dimension {shape[i]} is too large");
            dimensions[i] = (long)shape[i];
        }
        var length = SafetensorsDType.ByteLength(dtype, dimensions, out var reason);
        Expect(length is not null, $"tensor '{name}': {reason}");
        Expect(begin <= end && end <= long.MaxValue, $"tensor '{name}': data_offsets [{begin}, {end}] are not a range");
        Expect(length == end - begin, $"tensor '{name}': dtype and shape need {length} bytes, data_offsets hold {end - begin}");
        return new SafetensorsEntry(name, dtype, dimensions, (long)begin, (long)end);
    }

    private static List<ulong> ReadIntegers(ref Utf8JsonReader reader, string name, string field, int atMost)
    {
        Expect(reader.TokenType == JsonTokenType.StartArray, $"tensor '{name}': {field} is not an array");
        var values = new List<ulong>();
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            // Digits only: 1.0, 1e0, -0 and numbers past 64 bits are refused.
            var digits = reader.TokenType == JsonTokenType.Number ? reader.ValueSpan : [];
            Expect(Utf8Parser.TryParse(digits, out ulong value, out var used) && used == digits.Length && digits[0] != (byte)'-',
                $"tensor '{name}': {field} holds something other than unsigned 64-bit integers");
            Expect(values.Count < atMost, $"tensor '{name}': {field} has more than {atMost} numbers");
            values.Add(value);
        }
        return values;
    }

    /// <summary>
    /// Skips an unknown field; like the reference parser, requires its strings to be valid text and its numbers to be finite.
    /// </summary>
    private static void SkipChecked(ref Utf8JsonReader reader)
    {
        var depth = reader.CurrentDepth;
        do
        {
            if (reader.TokenType is JsonTokenType.String or JsonTokenType.PropertyName)
                _ = reader.GetString();
            if (reader.TokenType == JsonTokenType.Number)
                Expect(reader.TryGetDouble(out var number) && double.IsFinite(number), "a number is out of range");
        } while (
            (reader.CurrentDepth > depth || reader.TokenType is JsonTokenType.StartObject or JsonTokenType.StartArray) && reader.Read()
        );
    }

    private static SafetensorsEntry[] InDataOrder(IEnumerable<SafetensorsEntry> entries, long dataLength)
    {
        var ordered = entries.OrderBy(entry => entry.Begin).ThenBy(entry => entry.End).ToArray();
        var position = 0L;
        foreach (var entry in ordered)
        {
            Expect(
                entry.Begin == position,
                $"tensor '{entry.Name}' begins at byte {entry.Begin} instead of {position} (a gap or an overlap)"
            );
            position = entry.End;
        }
        Expect(position == dataLength, $"the tensors cover {position} bytes, the file holds {dataLength}");
        return ordered;
    }

    private static void Expect(bool holds, string reason)
    {
        if (!holds) throw new FormatException(reason);
    }
}
