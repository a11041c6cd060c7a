using System.Text;
using System.Text.Json;
using Falcon.Runtime;

namespace Falcon.Data.Columns;

/// <summary>
/// Comma-separated values as in RFC 4180: quoted cells may hold commas, line ends and doubled quotes; every cell is text.
/// </summary>
internal static class CsvRows
{
    private static readonly string[] MmluHeader = ["question", "A", "B", "C", "D", "answer"];

    public static IEnumerable<CorpusRow> Read(string path)
    {
        string[]? header = null;
        foreach (var (cells, line) in Cells(path, Encoding.UTF8.GetString(Utf8Lines.ReadAllBytes(path).Span)))
        {
            if (header is null)
            {
                var headerless = cells.Count == MmluHeader.Length && cells[^1] is "A" or "B" or "C" or "D";
                header = headerless ? MmluHeader : [.. cells];
                if (header.Distinct().Count() != header.Length)
                    throw new UserInputException(
                        $"{path}, line {line}: a column name occurs twice in the header; give every column its own name."
                    );
                if (!headerless)
                    continue;
            }
            if (cells.Count != header.Length)
                throw new UserInputException(
                    $"{path}, line {line}: {cells.Count} cells where the header has {header.Length}; "
                        + "put cells with commas or line ends in double quotes."
                );
            var fields = header.Zip(cells).ToDictionary(pair => pair.First, pair => pair.Second);
            yield return new CorpusRow(JsonSerializer.SerializeToElement(fields), line, $"line {line}");
        }
    }

    /// <summary>The rows, each with the line it starts at; blank lines are left out.</summary>
    private static IEnumerable<(List<string> Cells, int Line)> Cells(string path, string text)
    {
        var line = 1;
        for (var at = 0; at < text.Length;)
        {
            var (cells, start) = (new List<string>(), line);
            bool more;
            do
            {
                cells.Add(at < text.Length && text[at] == '"' ? Quoted(path, text, ref at, ref line) : Plain(path, text, ref at, line));
                more = at < text.Length && text[at] == ',';
                if (more) at++;
            } while (more);
            if (at < text.Length && text[at] == '\r') at++;
            if (at < text.Length) at++;
            line++;
            if (cells is not [""]) yield return (cells, start);
        }
    }

    private static string Plain(string path, string text, ref int at, int line)
    {
        var start = at;
        while (at < text.Length && text[at] is not (',' or '\n') && !IsLineEnd(text, at)) at++;
        var cell = text[start..at];
        return cell.Contains('"', StringComparison.Ordinal)
            ? throw new UserInputException(
                $"{path}, line {line}: a double quote inside a cell that is not quoted; quote the cell and double the quotes in it."
            )
            : cell;
    }

    private static string Quoted(string path, string text, ref int at, ref int line)
    {
        var (cell, start) = (new StringBuilder(), line);
        for (at++; at < text.Length; at++)
        {
            if (text[at] == '\n') line++;
            if (text[at] != '"')
            {
                cell.Append(text[at]);
                continue;
            }
            at++;
            if (at == text.Length || text[at] is ',' or '\n' || IsLineEnd(text, at)) return cell.ToString();
            if (text[at] != '"')
                throw new UserInputException(
                    $"{path}, line {line}: text after the closing quote of a cell; double the quotes inside a quoted cell."
                );
            cell.Append('"');
        }
        throw new UserInputException($"{path}, line {start}: a quoted cell is never closed; add the missing double quote.");
    }

    private static bool IsLineEnd(string text, int at) => text[at] == '\r' && (at + 1 == text.Length || text[at + 1] == '\n');
}
