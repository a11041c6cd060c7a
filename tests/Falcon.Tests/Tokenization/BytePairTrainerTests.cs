using System.Text.Json.Nodes;
using CsCheck;
using Falcon.Tokenization;

namespace Falcon.Tests.Tokenization;

public sealed class BytePairTrainerTests : IDisposable
{
    private static readonly string[] SpecialTokens = ["<|endoftext|>", "<|user|>"];
    private static readonly string[] Texts =
    [
        "The falcon flies over the field, and the field mouse hides from the falcon.",
        "Falcons are faster than mice; a mouse that hides is a mouse that lives.",
        "Über den Feldern fliegt der Falke: 12 Mäuse, 345 Käfer. 🦅",
    ];

    private readonly string _directory = Directory.CreateTempSubdirectory("falcon-trainer-").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void Train_KnownText_MergesTheMostFrequentPairsFirst()
    {
        // Words: hug x10, pug x5, pun x12, bun x4, hugs x5 (separate texts, so no spaces).
        // Counts: u g 20, u n 16, h ug 15 after the first merge, and so on.
        var texts = Repeat("hug", 10).Concat(Repeat("pug", 5)).Concat(Repeat("pun", 12)).Concat(Repeat("bun", 4)).Concat(Repeat("hugs", 5));

        Assert.Equal(["u g", "u n", "h ug"], Merges(BytePairTrainer.Train(texts, 256 + 3, [])));
    }

    [Fact]
    public void Train_EquallyFrequentPairs_SmallerLeftThenRightIdFirst() =>
        Assert.Equal(["a b", "a c", "b a"], Merges(BytePairTrainer.Train(["ba", "ac", "ab"], 256 + 3, [])));

    [Fact]
    public void Train_RunOfEqualBytes_MergesFromTheLeft() =>
        // a a occurs four times in aaaaa; then aa aa a holds (aa, aa) and (aa, a) once each, and the smaller right id is that of a.
        Assert.Equal(["a a", "aa a", "aa aaa"], Merges(BytePairTrainer.Train(["aaaaa"], 1000, [])));

    [Fact]
    public void Train_TextsInAnotherOrder_GivesTheSameFile() =>
        Assert.Equal(BytePairTrainer.Train(Texts, 320, SpecialTokens), BytePairTrainer.Train(Texts.Reverse(), 320, SpecialTokens));

    [Fact]
    public void Train_MoreTokens_ExtendsTheSameMerges()
    {
        var few = Merges(BytePairTrainer.Train(Texts, 280, SpecialTokens));
        var many = Merges(BytePairTrainer.Train(Texts, 330, SpecialTokens));

        Assert.Equal(few, many[..few.Length]);
        Assert.Equal(330 - 256 - SpecialTokens.Length, many.Length);
    }

    [Fact]
    public void Train_Result_LoadsAndHasTheAskedSize()
    {
        var tokenizer = Load(300);

        Assert.Equal(300, tokenizer.VocabularySize);
        Assert.Equal(0, tokenizer.EosId);
        Assert.Equal(0, tokenizer.TokenId("<|endoftext|>"));
        Assert.True(tokenizer.IsSpecial(1));
        Assert.Equal([0, 1], tokenizer.Encode("<|endoftext|><|user|>"));
    }

    [Fact]
    public void Train_Result_GivesBackAnyText()
    {
        var tokenizer = Load(300);

        Gen.String.Sample(text =>
        {
            var wellFormed = System.Text.Encoding.UTF8.GetString(System.Text.Encoding.UTF8.GetBytes(text));
            return tokenizer.Decode(tokenizer.Encode(text)) == wellFormed;
        }, iter: 500);
    }

    [Fact]
    public void Train_MoreMerges_MakeTheTextsShorter()
    {
        var lengths = new[] { 258, 280, 300, 340 }.Select(size => Texts.Sum(text => Load(size).Encode(text).Length)).ToArray();

        Assert.Equal(Texts.Sum(System.Text.Encoding.UTF8.GetByteCount), lengths[0]);   // no merge: one token a byte
        Assert.True(lengths[0] > lengths[1] && lengths[1] > lengths[2] && lengths[2] > lengths[3], string.Join(", ", lengths));
    }

    [Fact]
    public void Train_TooSmallOrRepeatedTokens_IsRefused()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => BytePairTrainer.Train(Texts, 257, SpecialTokens));
        Assert.Throws<ArgumentException>(() => BytePairTrainer.Train(Texts, 300, ["<s>", "<s>"]));
        Assert.Throws<ArgumentException>(() => BytePairTrainer.Train(Texts, 300, ["a"]));
    }

    private HfTokenizer Load(int vocabularySize)
    {
        File.WriteAllText(Path.Combine(_directory, "tokenizer.json"), BytePairTrainer.Train(Texts, vocabularySize, SpecialTokens));
        File.WriteAllText(Path.Combine(_directory, "tokenizer_config.json"), BytePairTrainer.Configuration("<|endoftext|>"));
        return HfTokenizer.Load(_directory);
    }

    private static IEnumerable<string> Repeat(string word, int times) => Enumerable.Repeat(word, times);

    private static string[] Merges(string tokenizerJson) =>
        [.. JsonNode.Parse(tokenizerJson)!["model"]!["merges"]!.AsArray().Select(merge => merge!.GetValue<string>())];
}
