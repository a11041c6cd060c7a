using System.Globalization;
using System.Text.RegularExpressions;
using Falcon.Runtime;

namespace Falcon.Data;

/// <summary>
/// Finds the files of a data set in its published layout, in any file format: one file a split, shards
/// (<c>test-00000-of-00002.parquet</c>), one folder a configuration as on the Hugging Face hub, or the publisher's own archive.
/// </summary>
internal static partial class PublishedFiles
{
    /// <summary>The extensions, in the order in which they are tried.</summary>
    public static IReadOnlyList<string> Extensions { get; } = [".jsonl", ".json", ".csv", ".parquet", ".txt"];

    /// <summary>
    /// The files of one split of one configuration, shards in order; empty when there are none. They are searched as <c>CONFIG/SPLIT</c>,
    /// <c>CONFIG_SPLIT</c>, <c>CONFIG-SPLIT</c>, <c>SPLIT/CONFIG_SPLIT</c> and <c>SPLIT/CONFIG</c>, in the directory and in its folder
    /// <c>data</c>.
    /// </summary>
    /// <exception cref="UserInputException">A shard is missing.</exception>
    public static IReadOnlyList<string> Split(string directory, string configuration, string split) =>
        First(
            directory,
            [
                $"{configuration}/{split}",
                $"{configuration}_{split}",
                $"{configuration}-{split}",
                $"{split}/{configuration}_{split}",
                $"{split}/{configuration}",
            ]
        );

    /// <summary>
    /// The files of the first existing path, given without extension: a file, shards, or a folder of numbered shards.
    /// </summary>
    /// <exception cref="UserInputException">A shard is missing.</exception>
    public static IReadOnlyList<string> First(string directory, IEnumerable<string> stems)
    {
        foreach (var stem in stems)
            foreach (var root in new[] { directory, Path.Combine(directory, "data") })
                if (Files(Path.Combine([root, .. stem.Split('/')])) is { Count: > 0 } files) return files;
        return [];
    }

    private static List<string> Files(string stem)
    {
        if (Extensions.Select(extension => stem + extension).FirstOrDefault(File.Exists) is { } single) return [single];
        var folder = Path.GetDirectoryName(stem)!;
        if (!Directory.Exists(folder)) return [];
        var prefix = Path.GetFileName(stem) + "-";
        List<string> shards =
        [
            .. Directory
                .EnumerateFiles(folder, prefix + "*")
                .Where(file => Shard().IsMatch(Path.GetFileName(file)[(prefix.Length - 1)..]))
                .Order(StringComparer.Ordinal),
        ];
        if (shards.Count > 0)
            return Complete(shards);
        return Directory.Exists(stem)
            ?
            [
                .. Directory
                    .EnumerateFiles(stem, "*.parquet")
                    .Where(file => NumberedShard().IsMatch(Path.GetFileName(file)))
                    .Order(StringComparer.Ordinal),
            ]
            : [];
    }

    private static List<string> Complete(List<string> shards)
    {
        var count = int.Parse(Shard().Match(shards[0]).Groups[1].Value, CultureInfo.InvariantCulture);
        return shards.Count == count
            ? shards
            : throw new UserInputException(
                $"{shards[0]}: {shards.Count} of {count} shards are there; download the others into the same folder."
            );
    }

    [GeneratedRegex(@"-\d{5}-of-(\d{5})\.(?:jsonl|json|csv|parquet)$")]
    private static partial Regex Shard();

    [GeneratedRegex(@"^\d{4,5}\.parquet$")]
    private static partial Regex NumberedShard();
}
