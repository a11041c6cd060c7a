using System.Diagnostics;
using System.Globalization;
using System.Text;
using Falcon.Tokenization;

namespace Falcon.Tests.Tokenization;

/// <summary>
/// Time of encoding: in proportion to the length also on one long line, and fast enough on English text. Limits are far from what is usual,
/// since other work may run beside the tests.
/// </summary>
public sealed class HfTokenizerSpeedTests
{
    // Usual on one busy core: 10 to 30 for ByteLevel.
    private const double LeastMegabytesPerSecond = 2;

    public static TheoryData<string> Families() =>
        Fixtures.NamesOrNone(
            Directory.Exists(Fixtures.At("tokenizers", "tiny"))
                ? Directory
                    .EnumerateDirectories(Fixtures.At("tokenizers", "tiny"))
                    .Select(path => Path.GetFileName(path))
                    .Order(StringComparer.Ordinal)
                : []
        );

    [Theory, MemberData(nameof(Families))]
    public void Encode_OneLongLine_TakesTimeInProportion(string family)
    {
        Fixtures.SkipNone(family, "tokenizers", "tiny");
        var tokenizer = HfTokenizer.Load(Fixtures.At("tokenizers", "tiny", family));
        foreach (var unit in new[] { "some words of a text without an end, ", "x", "aab", "  ", "日本" })
        {
            var whole = string.Concat(Enumerable.Repeat(unit, 300_000 / Encoding.UTF8.GetByteCount(unit)));
            var quarter = whole[..(whole.Length / 4)];
            var (fast, slow) = (Seconds(tokenizer, quarter), Seconds(tokenizer, whole));
            // Four times the length: 4 for linear time, 16 for quadratic. Busy cores lengthen one measurement or the other, not all of
            // them.
            bool InProportion() => slow < 10 * fast + 0.2;
            for (var again = 0; again < 5 && !InProportion(); again++)
                slow = Math.Min(slow, Seconds(tokenizer, whole));
            Assert.True(
                InProportion(),
                string.Create(CultureInfo.InvariantCulture, $"'{unit}': {fast:0.000} s for a quarter, {slow:0.000} s for the whole")
            );
        }
    }

    // The aim is for ByteLevel tokenizers.
    public static TheoryData<string> ByteLevelFamilies() =>
        Fixtures.NamesOrNone(Families().Select(row => row.Data).Where(family => family.Contains("bytelevel", StringComparison.Ordinal)));

    [Theory, MemberData(nameof(ByteLevelFamilies))]
    public void Encode_EnglishText_IsFast(string family)
    {
        Fixtures.SkipNone(family, "tokenizers", "tiny");
        var tokenizer = HfTokenizer.Load(Fixtures.At("tokenizers", "tiny", family));
        var text = File.ReadAllText(Path.Combine(Fixtures.RepositoryRoot, "demo", "data", "text.txt"));
        var lines = Enumerable.Repeat(text, 1 + (500_000 / text.Length)).SelectMany(copy => copy.Split('\n')).ToArray();
        var bytes = lines.Sum(Encoding.UTF8.GetByteCount);
        var seconds = Enumerable.Range(0, 3).Min(_ =>
        {
            var clock = Stopwatch.StartNew();
            foreach (var line in lines) tokenizer.Encode(line);
            return clock.Elapsed.TotalSeconds;
        });
        var rate = bytes / seconds / 1e6;
        TestContext.Current.TestOutputHelper?.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{family}: {rate:0.0} MB/s"));
        Assert.True(rate > LeastMegabytesPerSecond, string.Create(CultureInfo.InvariantCulture, $"{rate:0.0} MB/s"));
    }

    private static double Seconds(HfTokenizer tokenizer, string text) => Enumerable.Range(0, 2).Min(_ =>
    {
        var clock = Stopwatch.StartNew();
        tokenizer.Encode(text);
        return clock.Elapsed.TotalSeconds;
    });
}
