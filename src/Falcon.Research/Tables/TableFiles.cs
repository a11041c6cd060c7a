using System.Text.Json;
using Falcon.Runtime;

namespace Falcon.Research.Tables;

/// <summary>Reads tables from a folder of results, <c>bench/results</c>.</summary>
/// <param name="folder">The folder.</param>
internal sealed class TableFiles(string folder)
{
    /// <summary>
    /// The table of one result, or of several results of the engine. The form of a file is known by its keys: columns (put together by
    /// hand), stepSeconds (<c>bench engine</c>), utilityFloor (<c>bench methods</c>), layers (<c>bench layers</c>).
    /// </summary>
    /// <param name="names">Names of the files, without folder and ending.</param>
    /// <exception cref="UserInputException">A file is missing, is not JSON, or has another form.</exception>
    public ResultTable Read(IReadOnlyList<string> names)
    {
        var files = names.Select(Open).ToList();
        if (files.Count > 1 || files[0].Keys.Contains("stepSeconds"))
            return EngineFile.Table([.. files.Select(file => As<EngineFile>(file, "stepSeconds"))]);
        var only = files[0];
        return
            only.Keys.Contains("columns") ? Checked(only.Path, As<ResultTable>(only, "columns"))
            : only.Keys.Contains("utilityFloor") ? As<LeagueFile>(only, "utilityFloor").Table()
            : As<LayersFile>(only, "layers").Table();
    }

    private (string Path, string Text, HashSet<string> Keys) Open(string name)
    {
        var path = Path.Combine(folder, name + ".json");
        if (!File.Exists(path))
            throw new UserInputException($"{path} is missing, but a page shows its table; commit the result or take the table out");
        var text = File.ReadAllText(path);
        try
        {
            using var document = JsonDocument.Parse(text);
            return (path, text, [.. document.RootElement.EnumerateObject().Select(property => property.Name)]);
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException)
        {
            throw new UserInputException($"{path} is no JSON object: {error.Message}");
        }
    }

    private static T As<T>((string Path, string Text, HashSet<string> Keys) file, string key)
    {
        if (!file.Keys.Contains(key)) throw new UserInputException($"{file.Path} has no '{key}', so no table is made from it");
        try
        {
            return JsonSerializer.Deserialize<T>(file.Text, ResultJson.Options)!;
        }
        catch (JsonException error)
        {
            throw new UserInputException($"{file.Path}: {error.Message}");
        }
    }

    private static ResultTable Checked(string path, ResultTable table)
    {
        for (var i = 0; i < table.Rows.Count; i++)
            if (table.Rows[i].Count != table.Columns.Count)
                throw new UserInputException(
                    $"{path}: row {i + 1} has {table.Rows[i].Count} cells, but there are {table.Columns.Count} columns"
                );
        return table;
    }
}
