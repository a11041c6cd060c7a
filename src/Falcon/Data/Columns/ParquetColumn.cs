using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using Parquet;
using Parquet.Data;
using Parquet.Schema;

namespace Falcon.Data.Columns;

/// <summary>
/// The values of one column of a row group, assembled from the values and levels of its leaves. Every null keeps its place: the levels
/// say at which depth a value is missing and where a list goes on (Melnik et al., "Dremel", 2010, section 4).
/// </summary>
/// <param name="Rows">One value for each row; null for a missing one.</param>
/// <param name="Faults">What is wrong in rows whose value has no JSON form.</param>
internal sealed record ParquetColumn(JsonNode?[] Rows, IReadOnlyDictionary<int, string> Faults)
{
    private static readonly UTF8Encoding Strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>Reads a column.</summary>
    /// <exception cref="FormatException">The column has a type that has no JSON form.</exception>
    public static ParquetColumn Read(ParquetRowGroupReader group, Field column)
    {
        Dictionary<int, string> faults = [];
        JsonNode?[]? rows = null;
        foreach (var path in Leaves(column, []))
        {
            var entries = Entries(group, (DataField)path[^1], faults);
            var values = ByRow(entries).Select(row => Build(path, 0, row)).ToArray();
            rows = rows is null ? values : [.. rows.Zip(values, Merge)];
        }

        return new(rows ?? throw new FormatException("it has no values"), faults);
    }

    /// <summary>A value of a leaf with its repetition and definition level.</summary>
    private readonly record struct Entry(int Repetition, int Definition, JsonNode? Value);

    // Every way from the column down to a leaf.
    private static IEnumerable<Field[]> Leaves(Field field, Field[] above)
    {
        Field[] path = [.. above, field];
        return field switch
        {
            DataField => [path],
            ListField list => Leaves(list.Item, path),
            StructField group => group.Fields.SelectMany(child => Leaves(child, path)),
            _ => throw new FormatException($"columns of the kind {field.SchemaType} are not supported"),
        };
    }

    private static List<List<Entry>> ByRow(List<Entry> entries)
    {
        List<List<Entry>> rows = [];
        foreach (var entry in entries)
        {
            if (entry.Repetition == 0)
                rows.Add([]);
            rows[^1].Add(entry);
        }

        return rows;
    }

    private static JsonNode? Build(Field[] path, int depth, List<Entry> entries)
    {
        var field = path[depth];
        var definition = entries[0].Definition;
        switch (field)
        {
            case ListField list:
                // The last level says that an element has a place, the one before it that there is a list at all.
                if (definition < list.MaxDefinitionLevel)
                    return definition < list.MaxDefinitionLevel - 1 ? null : new JsonArray();
                return Elements(entries, list.MaxRepetitionLevel, element => Build(path, depth + 1, element));
            case StructField group:
                if (group.IsNullable && definition < group.MaxDefinitionLevel)
                    return null;
                return new JsonObject { [path[depth + 1].Name] = Build(path, depth + 1, entries) };
            case DataField { IsArray: true } leaf:
                return definition < leaf.MaxDefinitionLevel
                    ? new JsonArray()
                    : Elements(entries, leaf.MaxRepetitionLevel, element => element[0].Value);
            default:
                return entries[0].Value;
        }
    }

    private static JsonArray Elements(List<Entry> entries, int level, Func<List<Entry>, JsonNode?> build)
    {
        List<List<Entry>> elements = [];
        foreach (var entry in entries)
        {
            if (elements.Count == 0 || entry.Repetition == level)
                elements.Add([]);
            elements[^1].Add(entry);
        }

        return [.. elements.Select(build)];
    }

    // The leaves of a structure are read one after the other; each gives the whole nesting with its own member.
    private static JsonNode? Merge(JsonNode? one, JsonNode? other)
    {
        switch (one, other)
        {
            case (JsonObject a, JsonObject b):
                foreach (var (name, value) in b.ToList())
                {
                    b.Remove(name);
                    a[name] = a.TryGetPropertyValue(name, out var known) ? Merge(known, value) : value;
                }

                return a;
            case (JsonArray a, JsonArray b) when a.Count == b.Count:
                JsonNode?[] left = [.. a],
                    right = [.. b];
                a.Clear();
                b.Clear();
                return new JsonArray([.. left.Zip(right, Merge)]);
            case (null, null):
                return null;
            default:
                throw new FormatException("its parts do not have the same lists");
        }
    }

    private static List<Entry> Entries(ParquetRowGroupReader group, DataField leaf, Dictionary<int, string> faults)
    {
        using var raw = group.ReadRawColumnDataBaseAsync(leaf).AsTask().GetAwaiter().GetResult();
        var values = Values(raw);
        var definitions = leaf.MaxDefinitionLevel == 0 ? [] : raw.DefinitionLevels.ToArray();
        var repetitions = leaf.MaxRepetitionLevel == 0 ? [] : raw.RepetitionLevels.ToArray();
        var count = definitions.Length > 0 ? definitions.Length : values.Count;
        var (entries, next, row) = (new List<Entry>(count), 0, -1);
        for (var i = 0; i < count; i++)
        {
            var definition = definitions.Length > 0 ? definitions[i] : leaf.MaxDefinitionLevel;
            var present = definition == leaf.MaxDefinitionLevel;
            if (present && next == values.Count)
                throw new FormatException("it ends early");
            var repetition = repetitions.Length > 0 ? repetitions[i] : 0;
            if (repetition == 0)
                row++;
            var (value, fault) = present ? values[next++] : default;
            if (fault is not null)
                faults.TryAdd(row, fault);
            entries.Add(new(repetition, definition, value));
        }

        return entries;
    }

    private static List<(JsonNode? Value, string? Fault)> Values(RawColumnData raw) =>
        raw switch
        {
            RawColumnData<ReadOnlyMemory<char>> texts => All(texts, text => JsonValue.Create(text.ToString())),
            // Columns of bytes without the text annotation, which some writers produce, are read as text.
            RawColumnData<ReadOnlyMemory<byte>> bytes => All(bytes, value => JsonValue.Create(Strict.GetString(value.Span))),
            RawColumnData<bool> flags => All(flags, value => JsonValue.Create(value)),
            RawColumnData<sbyte> numbers => All(numbers, value => JsonValue.Create((long)value)),
            RawColumnData<byte> numbers => All(numbers, value => JsonValue.Create((long)value)),
            RawColumnData<short> numbers => All(numbers, value => JsonValue.Create((long)value)),
            RawColumnData<ushort> numbers => All(numbers, value => JsonValue.Create((long)value)),
            RawColumnData<int> numbers => All(numbers, value => JsonValue.Create((long)value)),
            RawColumnData<uint> numbers => All(numbers, value => JsonValue.Create((long)value)),
            RawColumnData<long> numbers => All(numbers, value => JsonValue.Create(value)),
            RawColumnData<ulong> numbers => All(numbers, value => JsonValue.Create(value)),
            RawColumnData<float> numbers => Reals(numbers.Values.ToArray().Select(value => (double)value)),
            RawColumnData<double> numbers => Reals(numbers.Values.ToArray()),
            RawColumnData<decimal> numbers => All(numbers, value => JsonValue.Create(value)),
            RawColumnData<DateTime> times => All(times, value => JsonValue.Create(value.ToString("O", CultureInfo.InvariantCulture))),
            _ => throw new FormatException(
                $"values of the type {raw.GetType().GetGenericArguments().FirstOrDefault()?.Name} are not supported"
            ),
        };

    private static List<(JsonNode? Value, string? Fault)> All<T>(RawColumnData<T> raw, Func<T, JsonNode?> convert)
        where T : struct
    {
        List<(JsonNode?, string?)> all = new(raw.Values.Length);
        foreach (var value in raw.Values)
        {
            try
            {
                all.Add((convert(value), null));
            }
            catch (DecoderFallbackException)
            {
                all.Add((null, "invalid UTF-8 in a column of bytes; store texts as strings"));
            }
        }

        return all;
    }

    private static List<(JsonNode? Value, string? Fault)> Reals(IEnumerable<double> numbers) =>
        [
            .. numbers.Select(number =>
                double.IsFinite(number)
                    ? ((JsonNode?)JsonValue.Create(number), (string?)null)
                    : (null, $"{number.ToString(CultureInfo.InvariantCulture)} is no value; correct it")
            ),
        ];
}
