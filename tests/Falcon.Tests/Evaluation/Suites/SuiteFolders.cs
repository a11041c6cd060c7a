using System.Text.Json;
using Parquet.Serialization;

namespace Falcon.Tests.Evaluation.Suites;

/// <summary>Small data sets of invented content, laid out as the publishers of the real ones do.</summary>
internal static class SuiteFolders
{
    /// <summary>A row of WMDP or MMLU on the hub.</summary>
    public sealed class ChoiceRow
    {
        public string question { get; set; } = "";

        public List<string> choices { get; set; } = [];

        public long answer { get; set; }
    }

    public static IReadOnlyList<ChoiceRow> Choices(string topic, int count) => [.. Enumerable.Range(0, count).Select(i => new ChoiceRow
    {
        question = $" What does the {topic} keep in box {i}? ",
        choices = ["a lamp", $"salt and {topic}", "nothing at all", "rope"],
        answer = i % 4,
    })];

    public static async Task Parquet(string path, IReadOnlyCollection<ChoiceRow> rows)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        await using var stream = File.Create(path);
        await ParquetSerializer.SerializeAsync(rows, stream);
    }

    public static void Lines<T>(string path, IEnumerable<T> rows)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllLines(path, rows.Select(row => JsonSerializer.Serialize(row)));
    }

    public static void Array<T>(string path, IEnumerable<T> rows)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(path, JsonSerializer.Serialize(rows));
    }

    public static void Csv(string path, IEnumerable<ChoiceRow> rows)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllLines(path, rows.Select(row => $"{row.question},{string.Join(',', row.choices)},{(char)('A' + row.answer)}"));
    }

    /// <summary>MUSE as its repository has it: JSON arrays in folders.</summary>
    public static string Muse(string directory)
    {
        Array(
            Path.Combine(directory, "verbmem", "forget.json"),
            Enumerable.Range(0, 5).Select(i => new { prompt = $"On day {i} the ship", gt = $" sailed past the {i}th lamp and home" })
        );
        foreach (var set in new[] { "forget", "retain" })
        {
            Array(
                Path.Combine(directory, "knowmem", $"{set}_qa.json"),
                Enumerable.Range(0, 6).Select(i => new { question = $"Who met the {set} crew {i}?", answer = $"keeper {i}" })
            );
            Array(
                Path.Combine(directory, "knowmem", $"{set}_qa_icl.json"),
                Enumerable.Range(0, 1).Select(i => new { question = "Who?", answer = "She" })
            );
        }

        foreach (var set in new[] { "forget", "retain", "holdout" })
            Array(
                Path.Combine(directory, "privleak", $"{set}.json"),
                Enumerable
                    .Range(0, 7)
                    .Select(i => new { text = $"The {set} paper of day {i} wrote of rain, {i * 13 % 7} ships and a long {set} night." })
            );
        return directory;
    }
}
