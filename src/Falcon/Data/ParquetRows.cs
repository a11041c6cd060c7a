using System.Text;
using System.Text.Json;
using Falcon.Runtime;
using Parquet;
using Parquet.Serialization;

namespace Falcon.Data;

/// <summary>Parquet files as the Hugging Face hub serves them, one row group in memory at a time.</summary>
internal static class ParquetRows
{
    private static readonly UTF8Encoding Strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    public static IEnumerable<CorpusRow> Read(string path)
    {
        using var stream = Guard(path, () => File.OpenRead(path));
        var groups = Guard(path, () => CountRowGroups(stream));
        var row = 0;
        for (var group = 0; group < groups; group++)
        {
            var index = group;
            var rows = Guard(path, () =>
                ParquetSerializer.DeserializeUntypedAsync(stream, rowGroupIndex: index).GetAwaiter().GetResult().Data
            );
            foreach (var fields in rows)
            {
                row++;
                yield return new CorpusRow(ToElement(path, fields, row), row, $"row {row}");
            }
        }
    }

    private static int CountRowGroups(Stream stream)
    {
        var reader = ParquetReader.CreateAsync(stream, leaveStreamOpen: true).GetAwaiter().GetResult();
        try
        {
            return reader.RowGroupCount;
        }
        finally
        {
            reader.DisposeAsync().AsTask().GetAwaiter().GetResult();
        }
    }

    private static JsonElement ToElement(string path, object fields, int row)
    {
        try
        {
            return JsonSerializer.SerializeToElement(Plain(fields));
        }
        catch (DecoderFallbackException error)
        {
            throw new UserInputException($"{path}, row {row}: invalid UTF-8 in a column of bytes; store texts as strings.", error);
        }
    }

    /// <summary>
    /// Converts the reader's values. Inside lists the reader gives texts as memory. Columns of bytes without the text annotation, which
    /// some writers produce, are read as text.
    /// </summary>
    private static object? Plain(object? value) => value switch
    {
        string text => text,
        ReadOnlyMemory<char> text => text.ToString(),
        byte[] bytes => Strict.GetString(bytes),
        ReadOnlyMemory<byte> bytes => Strict.GetString(bytes.Span),
        System.Collections.IDictionary map => map.Keys.Cast<object>().ToDictionary(key => key.ToString()!, key => Plain(map[key])),
        System.Collections.IEnumerable list => list.Cast<object?>().Select(Plain).ToList(),
        _ => value,
    };

    /// <summary>The Parquet reader reports damage by exceptions of many types; each becomes an error about the file.</summary>
    private static T Guard<T>(string path, Func<T> read)
    {
        try
        {
            return read();
        }
        catch (Exception error) when (error is not OutOfMemoryException)
        {
            throw new UserInputException(
                $"{path}: not a readable Parquet file ({error.Message.Split('\n')[0].TrimEnd('.', '\r')}); download it again.",
                error
            );
        }
    }
}
