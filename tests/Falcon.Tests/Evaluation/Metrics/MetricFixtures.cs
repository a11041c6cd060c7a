using System.Text.Json;

namespace Falcon.Tests.Evaluation.Metrics;

/// <summary>
/// The golden files of the metrics, told apart by the keys they have, so that files of other names and sizes serve as well.
/// </summary>
internal static class MetricFixtures
{
    // The first kind whose keys a file has is its kind.
    private static readonly (string Kind, string[] Keys)[] Kinds =
    [
        ("tofu", ["logs", "pairs"]),
        ("tofu log", ["eval_log.json"]),
        ("rouge", ["scorer", "cases"]),
        ("rouge logs", ["source", "cases"]),
        ("stems", ["stems"]),
        ("muse privacy", ["bigram_logits", "texts"]),
        ("memorization", ["examples", "vocabulary_size"]),
        ("rouge means", ["examples", "expected"]),
        ("membership", ["forget", "holdout", "expected"]),
        ("auc", ["auc", "privleak"]),
        ("truth ratio", ["items", "aggregates"]),
        ("trimming", ["open_unlearning", "muse_knowmem"]),
        ("multiple choice", ["docs", "group"]),
        ("perplexity", ["docs", "aggregate"]),
        ("windows", ["cases", "large"]),
        ("pages", ["pages", "n_pages"]),
        ("subjects", ["subjects"]),
        ("prompts", ["cases"]),
    ];

    /// <summary>The files of one kind below the fixtures' folder, else below the shared one; none where neither has any.</summary>
    public static TheoryData<string> Of(string kind)
    {
        var folders = new[] { Fixtures.At("metrics"), Shared };
        var found = folders
            .Select(folder => All(folder).Where(file => KindOf(file) == kind).ToArray())
            .FirstOrDefault(files => files.Length > 0)
            ?? [];
        return [.. found];
    }

    public static string[] All(string folder) =>
        Directory.Exists(folder)
            ? [.. Directory.GetFiles(folder, "*.json", SearchOption.AllDirectories).Order(StringComparer.Ordinal)]
            : [];

    public static string? KindOf(string file)
    {
        var root = Read(file);
        return Array.Find(Kinds, kind => kind.Keys.All(key => root.TryGetProperty(key, out _))).Kind;
    }

    public static JsonElement Read(string file)
    {
        using var document = JsonDocument.Parse(File.ReadAllBytes(file));
        return document.RootElement.Clone();
    }

    /// <summary>A file named by another one: beside it, else below the shared fixtures; null where neither is there.</summary>
    public static string? Beside(string file, string relative)
    {
        var candidates = new[] { Path.Combine(Path.GetDirectoryName(file)!, relative), Path.Combine(Shared, relative) };
        return Array.Find(candidates, File.Exists);
    }

    public static double[] Doubles(this JsonElement array) => [.. array.EnumerateArray().Select(one => one.GetDouble())];

    public static int[] Integers(this JsonElement array) => [.. array.EnumerateArray().Select(one => one.GetInt32())];

    public static string[] Strings(this JsonElement array) => [.. array.EnumerateArray().Select(one => one.GetString()!)];

    public static double Number(this JsonElement element, string key) => element.GetProperty(key).GetDouble();

    public static string Text(this JsonElement element, string key) => element.GetProperty(key).GetString()!;

    /// <summary>Equal to 1e-9 of the expected value (or to <paramref name="floor"/>, for values that come out of a cancellation).</summary>
    public static void Close(double expected, double actual, string what, double floor = 1e-13) =>
        Assert.True(
            Math.Abs(expected - actual) <= Math.Max(floor, 1e-9 * Math.Abs(expected)),
            $"{what}: expected {expected:R}, got {actual:R}"
        );

    private static string Shared => Path.Combine(Fixtures.RepositoryRoot, "..", "shared", "fixtures", "metrics");
}
