using System.Text.Json;
using Falcon.Runtime;
using Parquet;
using Parquet.Schema;

namespace Falcon.Data.Columns;

/// <summary>
/// Parquet files as the Hugging Face hub serves them, one row group in memory at a time. A column is read when a record first asks for it,
/// so columns that nobody uses (images, scores) cost nothing and may hold anything.
/// </summary>
internal static class ParquetRows
{
    private static readonly TimeSpan FooterLimit = TimeSpan.FromSeconds(30);

    public static IEnumerable<CorpusRow> Read(string path)
    {
        using var stream = Guard(path, () => File.OpenRead(path));
        var reader = Guard(path, () => WithinLimit(() => ParquetReader.CreateAsync(stream, leaveStreamOpen: true)));
        try
        {
            var fields = reader.Schema.Fields.ToDictionary(field => field.Name);
            string[] names = [.. fields.Keys];
            var first = 0;
            for (var index = 0; index < reader.RowGroupCount; index++)
            {
                using var group = Guard(path, () => reader.OpenRowGroupReader(index));
                var columns = new Columns(path, group, fields, first);
                for (var i = 0; i < group.RowCount; i++)
                {
                    var row = i;
                    yield return new CorpusRow(default, first + i + 1, $"row {first + i + 1}")
                    {
                        Columns = names,
                        Column = name => columns.Value(name, row),
                    };
                }

                first += (int)group.RowCount;
            }
        }
        finally
        {
            reader.DisposeAsync().AsTask().GetAwaiter().GetResult();
        }
    }

    // A damaged footer can send the reader into a loop without an end; closing the stream ends it. A sound one takes milliseconds.
    private static T WithinLimit<T>(Func<Task<T>> read)
    {
        var task = Task.Run(read);
        return ((IAsyncResult)task).AsyncWaitHandle.WaitOne(FooterLimit)
            ? task.GetAwaiter().GetResult()
            : throw new TimeoutException("its footer cannot be read to the end");
    }

    /// <summary>The columns of a row group that were asked for.</summary>
    private sealed class Columns(string path, ParquetRowGroupReader group, Dictionary<string, Field> fields, int first)
    {
        private readonly Dictionary<string, ParquetColumn> _read = [];

        public JsonElement? Value(string name, int row)
        {
            if (!fields.TryGetValue(name, out var field))
                return null;
            if (!_read.TryGetValue(name, out var column))
                _read[name] = column = Guard(path, () => ParquetColumn.Read(group, field), name);
            if (column.Rows.Length != group.RowCount)
                throw new UserInputException(
                    $"{path}: the column \"{name}\" has {column.Rows.Length} values for {group.RowCount} rows from row {first + 1} on; "
                        + "download the file again."
                );
            if (column.Faults.TryGetValue(row, out var fault))
                throw new UserInputException($"{path}, row {first + row + 1}, field \"{name}\": {fault}.");
            return column.Rows[row] is { } value ? JsonSerializer.SerializeToElement(value) : null;
        }
    }

    /// <summary>The Parquet reader reports damage by exceptions of many types; each becomes an error about the file.</summary>
    private static T Guard<T>(string path, Func<T> read, string? column = null)
    {
        try
        {
            return read();
        }
        catch (FormatException error) when (column is not null)
        {
            throw new UserInputException($"{path}: the column \"{column}\" cannot be used: {error.Message}.", error);
        }
        catch (Exception error) when (error is not OutOfMemoryException)
        {
            var reason = error.Message.Split('\n')[0].TrimEnd('.', '\r');
            throw new UserInputException(
                column is null
                    ? $"{path}: not a readable Parquet file ({reason}); download it again."
                    : $"{path}: the column \"{column}\" is not readable ({reason}); download the file again.",
                error
            );
        }
    }
}
