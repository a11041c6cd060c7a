using System.Text;
using Falcon.Runtime;

namespace Falcon.Research.Tables;

/// <summary>A table in a page.</summary>
/// <param name="Page">The page, relative to the repository's root, with slashes.</param>
/// <param name="Name">The names behind the marker.</param>
/// <param name="Changed">Whether the page shows something else than the committed result.</param>
public sealed record ShownTable(string Page, string Name, bool Changed);

/// <summary>What <see cref="TablePages"/> found.</summary>
/// <param name="Tables">Every table, in the order of the pages.</param>
public sealed record TablesResult(IReadOnlyList<ShownTable> Tables);

/// <summary>
/// The tables of README.md and docs/*.md. A table stands between a line <c>&lt;!-- table NAME --&gt;</c> and a line
/// <c>&lt;!-- /table --&gt;</c>, and shows bench/results/NAME.json; several names of engine results make one table.
/// <c>methods</c> and <c>method-notes</c> show the catalog of methods.
/// </summary>
public static class TablePages
{
    private const string Start = "<!-- table ";
    private const string End = "<!-- /table -->";

    /// <summary>Compares every table with its result, and writes the pages that differ unless <paramref name="check"/>.</summary>
    /// <param name="root">The repository's root.</param>
    /// <param name="check">Whether pages stay as they are.</param>
    /// <exception cref="UserInputException">
    /// The folder is no repository of this program, a result is missing, or a marker has no end.
    /// </exception>
    public static TablesResult Update(string root, bool check)
    {
        var files = new TableFiles(Path.Combine(root, "bench", "results"));
        List<ShownTable> tables = [];
        foreach (var page in Pages(root))
        {
            var path = Path.Combine(root, page);
            var text = File.ReadAllText(path);
            var written = Rewrite(page, text, files, tables);
            if (!check && written != text) OutputFile.Write(path, written);
        }

        return new TablesResult(tables);
    }

    private static IEnumerable<string> Pages(string root)
    {
        var docs = Path.Combine(root, "docs");
        if (!File.Exists(Path.Combine(root, "README.md")) || !Directory.Exists(docs))
            throw new UserInputException(
                $"{Path.GetFullPath(root)} has no README.md and docs; run this in the root of the repository, or give --root"
            );
        var names = Directory.EnumerateFiles(docs, "*.md").Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal);
        return ["README.md", .. names.Select(name => "docs/" + name)];
    }

    private static string Rewrite(string page, string text, TableFiles files, List<ShownTable> tables)
    {
        var written = new StringBuilder();
        var lines = text.Split('\n');
        for (var i = 0; i < lines.Length; i++)
        {
            written.Append(lines[i]).Append(i + 1 < lines.Length ? "\n" : "");
            if (!lines[i].StartsWith(Start, StringComparison.Ordinal)) continue;
            var end = Array.IndexOf(lines, End, i);
            if (end < 0) throw new UserInputException($"{page}:{i + 1}: '{lines[i]}' has no '{End}' after it");
            var name = lines[i][Start.Length..].Replace("-->", "", StringComparison.Ordinal).Trim();
            var table = name switch
            {
                MethodPages.TableName => MethodPages.Table(),
                MethodPages.NotesName => MethodPages.Notes(),
                _ => files.Read(name.Split(' ', StringSplitOptions.RemoveEmptyEntries)).Markdown(),
            };
            tables.Add(new ShownTable(page, name, string.Concat(lines[(i + 1)..end].Select(line => line + "\n")) != table));
            written.Append(table);
            i = end - 1;
        }

        return written.ToString();
    }
}
