using System.Text.Json;
using System.Text.RegularExpressions;

namespace Falcon.Checkpoints;

/// <summary>Where a model directory comes from and under what licence, as far as its files say.</summary>
/// <param name="HubName">
/// Its name on a hub, <c>organisation/name</c>, from a hub's cache folder or else <c>_name_or_path</c> of config.json; null when neither is
/// there.
/// </param>
/// <param name="CardLines">
/// The lines about licence and language in the metadata of its model card (README.md), unchanged; empty when there are none.
/// </param>
public sealed partial record ModelOrigin(string? HubName, IReadOnlyList<string> CardLines)
{
    private static readonly string[] PassedOn = ["license", "license_name", "license_link", "language"];

    /// <summary>Reads the origin from the files of a model directory.</summary>
    public static ModelOrigin Of(string directory)
    {
        var card = Path.Combine(directory, "README.md");
        return new ModelOrigin(
            CacheName(directory) ?? ConfiguredName(Path.Combine(directory, "config.json")),
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

    private static string? ConfiguredName(string config)
    {
        if (!File.Exists(config)) return null;
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(config));
            return
                document.RootElement.TryGetProperty("_name_or_path", out var name)
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
