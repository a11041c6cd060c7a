using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Falcon.Tokenization;

namespace Falcon.Tests.Tokenization;

/// <summary>
/// Ids and texts against those of the Hugging Face tokenizers core (its Rust library), for every tokenizer among the fixtures.
/// </summary>
[Trait("Category", "Parity"), Trait("Parity", "true")]
public sealed class HfTokenizerParityTests
{
    public static TheoryData<string> Families() =>
        Fixtures.NamesOrNone(
            Directory.Exists(Fixtures.At("tokenizers"))
                ? Directory
                    .GetFiles(Fixtures.At("tokenizers"), "*.json")
                    .Select(file => Path.GetFileNameWithoutExtension(file))
                    .Order(StringComparer.Ordinal)
                : []
        );

    [Theory, MemberData(nameof(Families))]
    public void Encode_EveryCase_GivesTheSameIds(string family)
    {
        var tokenizer = LoadOrSkip(family);
        var wrong = new List<string>();
        foreach (var fixture in Cases(family))
        {
            var text = fixture.GetProperty("text").GetString()!;
            Compare(wrong, fixture, "ids", Join(tokenizer.Encode(text)), Join(Ids(fixture, "ids")));
            Compare(
                wrong,
                fixture,
                "ids_no_special",
                Join(tokenizer.Encode(text, addSpecialTokens: false)),
                Join(Ids(fixture, "ids_no_special"))
            );
        }
        Assert.Empty(wrong);
    }

    [Theory, MemberData(nameof(Families))]
    public void Decode_EveryCase_GivesTheSameText(string family)
    {
        var tokenizer = LoadOrSkip(family);
        var wrong = new List<string>();
        foreach (var fixture in Cases(family))
        {
            var ids = Ids(fixture, "ids");
            Compare(wrong, fixture, "decoded", tokenizer.Decode(ids), fixture.GetProperty("decoded").GetString()!);
            Compare(
                wrong,
                fixture,
                "decoded_skip_special",
                tokenizer.Decode(ids, skipSpecialTokens: true),
                fixture.GetProperty("decoded_skip_special").GetString()!
            );
        }
        Assert.Empty(wrong);
    }

    [Theory, MemberData(nameof(Families))]
    public void Encode_WikiText_GivesTheSameIds(string family)
    {
        var tokenizer = LoadOrSkip(family);
        if (!Fixture(family).TryGetProperty("wikitext", out var expected)) Assert.Skip($"{family} has no hash over WikiText");
        var text = File.ReadAllText(Fixtures.SharedOrSkip("data", "wikitext2", "valid.txt"));

        long tokens = 0;
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var line in text.Split('\n').Where(line => !string.IsNullOrWhiteSpace(line)))
        {
            var ids = tokenizer.Encode(line, addSpecialTokens: false);
            tokens += ids.Length;
            hash.AppendData(Encoding.ASCII.GetBytes(Join(ids) + "\n"));
        }

        Assert.Equal(expected.GetProperty("tokens_no_special").GetInt64(), tokens);
        Assert.Equal(
            expected.GetProperty("sha256_of_comma_joined_ids_lines").GetString(),
            Convert.ToHexStringLower(hash.GetHashAndReset())
        );
    }

    private static HfTokenizer LoadOrSkip(string family)
    {
        Fixtures.SkipNone(family, "tokenizers");
        var directory = Fixtures.At("tokenizers", "tiny", family);
        if (!File.Exists(Path.Combine(directory, "tokenizer.json")))
            Assert.Skip($"the vocabulary of {family} is not stored with the fixtures");
        return HfTokenizer.Load(directory);
    }

    private static JsonElement Fixture(string family)
    {
        using var document = JsonDocument.Parse(File.ReadAllBytes(Fixtures.At("tokenizers", family + ".json")));
        return document.RootElement.Clone();
    }

    private static JsonElement.ArrayEnumerator Cases(string family) => Fixture(family).GetProperty("cases").EnumerateArray();

    private static int[] Ids(JsonElement fixture, string key) => [.. fixture.GetProperty(key).EnumerateArray().Select(id => id.GetInt32())];

    private static string Join(IEnumerable<int> ids) => string.Join(',', ids.Select(id => id.ToString(CultureInfo.InvariantCulture)));

    private static void Compare(List<string> wrong, JsonElement fixture, string key, string actual, string expected)
    {
        if (actual != expected) wrong.Add($"{fixture.GetProperty("id").GetString()} {key}: expected {expected}, got {actual}");
    }
}
