using System.Text.Json;
using System.Text.RegularExpressions;
using Falcon.Results;
using Falcon.Runtime;

namespace Falcon.Checkpoints;

/// <summary>Where a model directory comes from and under what licence, as far as its files say.</summary>
/// <param name="HubName">
/// Its name on a hub, <c>organisation/name</c>, from a hub's cache folder, from what <c>download</c> noted, or else <c>_name_or_path</c> of
/// config.json; null when none is there.
/// </param>
/// <param name="CardLines">
/// The lines about licence and language in the metadata of its model card (README.md), unchanged; empty when there are none.
/// </param>
public sealed partial record ModelOrigin(string? HubName, IReadOnlyList<string> CardLines)
{
    private static readonly string[] PassedOn = ["license", "license_name", "license_link", "language"];

    // In a folder that is not copied: what is made of the model is not what lies on the hub.
    private const string DownloadNote = ".cache/falcon/download.json";

    /// <summary>Notes in a directory that it was downloaded from a hub.</summary>
    /// <param name="directory">The directory.</param>
    /// <param name="repository">Name of the repository.</param>
    /// <param name="commit">The commit.</param>
    internal static void NoteDownload(string directory, string repository, string commit)
    {
        var path = Path.Combine(directory, DownloadNote);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(path, JsonSerializer.Serialize(new { repository, commit }, ResultJson.Options) + "\n");
    }

    /// <summary>Reads the origin from the files of a model directory.</summary>
    public static ModelOrigin Of(string directory)
    {
        // What was merged into a directory comes from where that directory comes from.
        if (ModelSource.Of(directory)?.Model is { } named && Directory.Exists(named)) return Of(named);
        var card = Path.Combine(directory, "README.md");
        return new ModelOrigin(
            CacheName(directory)
                ?? NameIn(Path.Combine(directory, DownloadNote), "repository")
                ?? ConfiguredName(Path.Combine(directory, "config.json")),
            File.Exists(card) ? Lines(File.ReadLines(card)) : []
        );
    }

    // .../models--organisation--name/snapshots/REVISION
    private static string? CacheName(string directory) =>
        Path.GetFullPath(directory)
            .Split(Path.DirectorySeparatorChar)
            .LastOrDefault(part => part.StartsWith("models--", StringComparison.Ordinal))
            is { } folder
            ? folder["models--".Length..].Replace("--", "/", StringComparison.Ordinal)
            : null;

    // A folder's path such as demo/model reads like a name on a hub.
    private static string? ConfiguredName(string config) =>
        NameIn(config, "_name_or_path") is { } name && !Directory.Exists(name) ? name : null;

    private static string? NameIn(string path, string key)
    {
        if (!File.Exists(path)) return null;
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(path));
            return
                document.RootElement.ValueKind == JsonValueKind.Object
                && document.RootElement.TryGetProperty(key, out var name)
                && name.ValueKind == JsonValueKind.String
                && name.GetString() is { } text
                && Name().IsMatch(text)
                ? text
                : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    /// <summary>
    /// The keys to pass on from the metadata between two lines <c>---</c>, with the indented or listed lines below them.
    /// </summary>
    private static List<string> Lines(IEnumerable<string> card)
    {
        List<string> kept = [];
        var passes = false;
        var isFirst = true;
        foreach (var line in card)
        {
            if (isFirst && line.TrimEnd() != "---") return [];
            if (!isFirst && line.TrimEnd() == "---") return kept;
            if (!isFirst && line.Length > 0 && line[0] is not (' ' or '-' or '#')) passes = PassedOn.Contains(line.Split(':')[0]);
            if (!isFirst && passes) kept.Add(line.TrimEnd());
            isFirst = false;
        }

        return []; // without a second line --- there is no metadata
    }

    [GeneratedRegex(@"^[A-Za-z0-9][\w.-]*/[\w.-]+$")]
    private static partial Regex Name();
}
