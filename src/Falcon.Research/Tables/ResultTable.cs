using System.Text;

namespace Falcon.Research.Tables;

/// <summary>A table of results as a page shows it; also the form of the results that were put together by hand.</summary>
/// <param name="Columns">Head of every column.</param>
/// <param name="Rows">Cells as they are shown; each row has a cell for every column.</param>
public sealed record ResultTable(IReadOnlyList<string> Columns, IReadOnlyList<IReadOnlyList<string>> Rows)
{
    /// <summary>What the table shows, in words.</summary>
    public string Title { get; init; } = "";

    /// <summary>The commands that made the numbers.</summary>
    public IReadOnlyList<string> Command { get; init; } = [];

    /// <summary>The day of the measurement, as 2026-11-29.</summary>
    public string Date { get; init; } = "";

    /// <summary>The commits between which it was measured.</summary>
    public string Commits { get; init; } = "";

    /// <summary>The table in Markdown, the first column to the left and the others to the right; ends with a line break.</summary>
    public string Markdown()
    {
        var text = new StringBuilder();
        Line(Columns);
        Line([.. Columns.Select((_, i) => i == 0 ? "---" : "---:")]);
        foreach (var row in Rows) Line(row);
        return text.ToString();

        void Line(IReadOnlyList<string> cells)
        {
            text.Append('|');
            foreach (var cell in cells) text.Append(cell.Length == 0 ? " |" : $" {cell} |");
            text.Append('\n');
        }
    }
}
