using System.Text.Json;
using Falcon.Runtime;
using Falcon.Tokenization;
using Falcon.Tokenization.Patterns;

namespace Falcon.Tests.Tokenization;

/// <summary>
/// Splitting patterns against the reference: tests/fixtures/split-patterns/cases.json holds the pieces that the reference library
/// (tokenizers, with Oniguruma) cuts from the same texts. A pattern gives exactly these pieces, or it is refused.
/// </summary>
public sealed class SplitPatternTests
{
    // What has no counterpart in .NET, or would need tables of its own.
    private static readonly HashSet<string> Refusable =
    [
        "[[:alpha:]]+",
        "\\X",
        "(?i:ss)",
        "\\p{Alpha}+",
        "(?x)a b",
        "\\Gab",
        "(?<n>a)\\k<n>",
        "\\Qa.b\\E",
        "\\K",
        "a\\Kb",
        "(?~ab)",
        "\\y",
        "\\g<1>(a)",
        "\\p{Hiragana}",
        "\\p{InBasicLatin}",
        "[[:^alpha:]]",
        "a{2,1}",
        "\\cA",
        "\\C-a",
        "\\M-a",
        "\\101",
        "\\o{101}",
        "(?i)ſ",
        "\\p{Emoji}",
        "\\pL",
        "[&&a]",
        "[a&&]",
        "(?i)\\p{Lu}",
        "(?i)st",
        "a(?i)b|c",
        "\\x{1F600}",
        "[\\x{1F600}-\\x{1F64F}]",
        "\\0",
        "\\p{Cn}",
        "[]a]",
    ];

    private static readonly Lazy<JsonElement> Cases = new(() =>
    {
        var path = Path.Combine(Fixtures.RepositoryRoot, "tests", "fixtures", "split-patterns", "cases.json");
        return JsonDocument.Parse(File.ReadAllBytes(path)).RootElement;
    });

    public static TheoryData<string> Patterns =>
        [.. Cases.Value.GetProperty("cases").EnumerateArray().Select(item => item.GetProperty("pattern").GetString()!)];

    [Theory, MemberData(nameof(Patterns))]
    public void Find_CutsAsTheReferenceDoes_OrThePatternIsRefused(string pattern)
    {
        var item = Cases.Value.GetProperty("cases").EnumerateArray().Single(one => one.GetProperty("pattern").GetString() == pattern);
        SplitPattern read;
        try
        {
            read = SplitPattern.Expression(pattern);
        }
        catch (Exception error) when (error is FormatException or ArgumentException)
        {
            Assert.True(item.TryGetProperty("error", out _) || Refusable.Contains(pattern), $"{pattern}: refused ({error.Message})");
            return;
        }

        Assert.False(item.TryGetProperty("error", out var reference), $"{pattern}: the reference refuses it ({reference})");
        var texts = Cases.Value.GetProperty("texts").EnumerateArray().Select(text => text.GetString()!).ToList();
        foreach (var (text, pieces) in texts.Zip(item.GetProperty("pieces").EnumerateArray()))
            Assert.Equal(
                pieces.EnumerateArray().Select(piece => piece.GetString()!).Where(piece => piece.Length > 0),
                read.Find(text).Where(stretch => stretch.End > stretch.Start).Select(stretch => text[stretch.Start..stretch.End])
            );
    }

    // The ids are those of the reference library for this file.
    [Fact]
    public void Encode_PatternWithAnIntersection_GivesTheIdsOfTheReference()
    {
        using var folder = new TemporaryFolder();
        File.Copy(Fixtures.SharedOrSkip("fixtures", "faults", "tokenizer-class-intersection.json"), folder.At("tokenizer.json"));
        var tokenizer = HfTokenizer.Load(folder.Path);
        Assert.Equal(
            [53, 73, 70, 222, 68, 66, 81, 460, 66, 77, 222, 80, 71, 222, 39, 83, 66, 79, 382, 222, 326, 222, 49, 66, 324, 84, 15],
            tokenizer.Encode("The capital of France is Paris.")
        );
    }

    [Fact]
    public void Load_PatternWithoutCounterpart_NamesTheConstruct()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(
            folder.At("tokenizer.json"),
            """
            {"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []},
             "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "[[:alpha:]]+"}, "behavior": "Isolated"}}
            """
        );
        var message = Assert.Throws<UnsupportedCheckpointException>(() => HfTokenizer.Load(folder.Path)).Message;
        Assert.Contains(
            "the regular expression [[:alpha:]]+ is not supported ([:alpha:] is not supported)",
            message,
            StringComparison.Ordinal
        );
    }
}
