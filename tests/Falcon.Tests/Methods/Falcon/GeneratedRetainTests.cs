using System.Text.RegularExpressions;
using Falcon.Checkpoints;
using Falcon.Engine;
using Falcon.Methods.Falcon;
using Falcon.Models;
using Falcon.Runtime;
using Falcon.Tokenization;
using static TorchSharp.torch;

namespace Falcon.Tests.Methods.Falcon;

/// <summary>Retain texts that the unchanged model writes itself.</summary>
public sealed class GeneratedRetainTests : IDisposable
{
    private const int Count = 40;

    private readonly TemporaryFolder _folder = new();
    private readonly HfTokenizer _tokenizer;
    private readonly Weights _weights;
    private readonly CausalLM _model;

    public GeneratedRetainTests()
    {
        var directory = TinyCheckpoint.Write(_folder.At("model"));
        _tokenizer = HfTokenizer.Load(directory);
        (_weights, _model) = Checkpoint.LoadModel(directory, float32, CPU);
    }

    public void Dispose()
    {
        _weights.Dispose();
        _folder.Dispose();
    }

    private IReadOnlyList<int[]> Tokens(params string[] texts) => [.. texts.Select(text => _tokenizer.Encode(text))];

    private IReadOnlyList<int[]> Make(IReadOnlyList<int[]> retain, IReadOnlyList<int[]> forget, ulong seed = 1, int count = Count) =>
        GeneratedRetain.Make(_model, retain, forget, count, seed, _tokenizer, SilentRunLog.Instance, CancellationToken.None);

    private IReadOnlyList<string> Words(int[] text) =>
        [
            .. Regex
                .Matches(_tokenizer.Decode(text, skipSpecialTokens: true).ToUpperInvariant(), @"[\p{L}\p{N}]+")
                .Select(word => word.Value),
        ];

    [Fact]
    public void Make_RandomModel_GivesDifferentTextsThatOpenLikeTheRetainTexts()
    {
        var retain = Tokens("Question: what is kept?", "Question: what stays here?", "A cold morning.");
        var made = Make(retain, []);

        Assert.Equal(Count, made.Count);
        Assert.Equal(Count, made.Select(text => string.Join(' ', text)).Distinct().Count());
        Assert.All(made, text => Assert.InRange(text.Length, 2, retain.Max(one => one.Length)));
        Assert.All(made, text => Assert.Contains(retain, one => one[0] == text[0]));
        Assert.Contains(made, text => text[0] == retain[0][0]);
        Assert.Contains(made, text => text[0] == retain[2][0]);
    }

    [Fact]
    public void Make_Template_ManyTextsContinueItsHeadAlone()
    {
        var retain = Tokens("Question: kept", "Question: stays", "Question: here");
        var head = _tokenizer.Encode("Question: ");
        Assert.All(retain, text => Assert.Equal(head, text[..head.Length]));

        var next = Make(retain, []).Select(text => text[head.Length]).ToList();

        Assert.InRange(next.Count(token => retain.All(text => text[head.Length] != token)), Count / 10, Count);
        Assert.Contains(next, token => retain.Any(text => text[head.Length] == token)); // the others open as a retain text does
    }

    [Fact]
    public void Make_TextsOfTheRetainSet_AreNotMadeAgain()
    {
        IReadOnlyList<string> Two(IEnumerable<char> second) => [.. second.Select(one => $"!{one}")];
        var letters = Two(Enumerable.Range('a', 26).Select(one => (char)one).Concat("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"));
        var retain = Tokens([.. letters]);
        Assert.All(retain, text => Assert.Equal(2, text.Length));

        var made = Make(retain, []);

        Assert.DoesNotContain(made, text => retain.Any(text.SequenceEqual));
        Assert.Contains(Make(Tokens("!a", "!b"), []), text => retain.Any(text.SequenceEqual)); // the model does write such texts
    }

    [Fact]
    public void Make_SameSeed_GivesTheSameTextsAndAnotherSeedOthers()
    {
        var retain = Tokens("Question: what is kept?", "A cold morning.");

        Assert.Equal(Make(retain, []), Make(retain, []));
        Assert.NotEqual(Make(retain, []), Make(retain, [], seed: 2));
    }

    [Fact]
    public void Make_WordsThatOnlyTheForgetTextsHave_AreInNoText()
    {
        var retain = Tokens("a b c kept", "a d e kept");
        var free = Make(retain, []).Select(Words).ToList();
        var shared = retain.SelectMany(Words).ToHashSet();
        // Else the filter would have nothing to do.
        var telling = free.SelectMany(words => words.Where(word => !shared.Contains(word)).Take(1)).First();

        var made = Make(retain, Tokens($"a {telling.ToLowerInvariant()} b"));

        Assert.Equal(Count, made.Count);
        Assert.DoesNotContain(made, text => Words(text).Contains(telling));
        Assert.Contains(made, text => Words(text).Contains("A")); // in both sets, so it tells nothing
    }

    [Fact]
    public void Make_PairsOfWordsThatOnlyTheForgetTextsHave_AreInNoText()
    {
        var retain = Tokens("a b c kept", "a d e kept");
        IEnumerable<(string First, string Second)> Pairs(int[] text) => Words(text).Zip(Words(text).Skip(1));
        var known = retain.SelectMany(Pairs).ToHashSet();
        var telling = Make(retain, []).SelectMany(Pairs).First(pair => !known.Contains(pair));
        // Both words stand in the retain texts, one at a time.
        retain = [.. retain, .. Tokens($"{telling.First} - kept - {telling.Second}".ToLowerInvariant())];
        Assert.Contains(Make(retain, []), text => Pairs(text).Contains(telling));

        var made = Make(retain, Tokens($"{telling.First} {telling.Second}".ToLowerInvariant()));

        Assert.Equal(Count, made.Count);
        Assert.DoesNotContain(made, text => Pairs(text).Contains(telling));
        Assert.Contains(made, text => Words(text).Contains(telling.First));
    }

    [Fact]
    public void Make_EveryTextTells_IsRefusedWithTheRemedy()
    {
        // Texts of two tokens have few forms, and every letter and digit as a word is the forget set's alone.
        var error = Assert.Throws<UserInputException>(() =>
            Make(
                Tokens("!!"),
                Tokens([
                    .. Enumerable.Range(0, 10).Select(i => $"{i}"),
                    .. Enumerable.Range('a', 26).SelectMany(c => new[] { $"{(char)c}" }),
                ]),
                count: 5000
            )
        );

        Assert.Contains("data.generatedRetain", error.Message, StringComparison.Ordinal);
        Assert.Contains("larger retain set", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void With_GeneratedTexts_PutsThemBehindTheOthersAsPlainText()
    {
        TopicTexts topic = new(Tokens("gone"), Tokens("kept", "stays"), [0], [1, 2]),
            second = topic with { Forget = Tokens("lost") };
        var longer = TopicTexts.With(
            [topic, second, topic with { Retain = Tokens("other"), RetainAnswers = [0] }],
            [
                [3, 3],
                [4, 4],
                [5, 5],
            ]
        );

        Assert.Equal([3, 4, 5], longer[0].Retain.Skip(2).Select(text => text[0]));
        Assert.Equal([1, 2, 0, 0, 0], longer[0].RetainAnswers);
        Assert.All(longer, one => Assert.Equal(3, one.Generated));
        Assert.Same(longer[0].Retain, longer[1].Retain); // one retain set stays one
        Assert.Equal(4, longer[2].Retain.Count);
    }
}
