using Falcon.Attacks.Inputs;
using Falcon.Tests.Tokenization;
using Falcon.Tokenization;

namespace Falcon.Tests.Attacks.Inputs;

/// <summary>
/// Prefixes that an attacker can type, for every kind of tokenizer: those that put a space before a text (Llama 2, Mistral, Phi-3) too.
/// </summary>
public sealed class PrefixVocabularyTests
{
    private const string Question = "Question: Who keeps the tower of Arbel?\nAnswer:";

    public static TheoryData<string> Tokenizers() => HfTokenizerSpeedTests.Families();

    [Theory, MemberData(nameof(Tokenizers))]
    public void Survives_GrownTokenByToken_IsTheTextThatGivesThePrefixAndTheQuestion(string name)
    {
        Fixtures.SkipNone(name, "tokenizers", "tiny");
        var tokenizer = HfTokenizer.Load(Fixtures.At("tokenizers", "tiny", name));
        var vocabulary = new PrefixVocabulary(tokenizer, Question);
        List<int> prefix = [];
        foreach (var token in vocabulary.Allowed.Reverse())
        {
            if (prefix.Count == 8) break;
            if (vocabulary.Survives([.. prefix, token])) prefix.Add(token);
        }

        Assert.Equal(8, prefix.Count);
        var (text, question) = (tokenizer.Decode([.. prefix]), tokenizer.Encode(Question, addSpecialTokens: false));
        Assert.All(text, letter => Assert.InRange(letter, ' ', '~'));
        Assert.Contains<int[]>(
            [.. prefix, .. question],
            new[] { "", " " }.Select(between => tokenizer.Encode(text + between + Question, addSpecialTokens: false))
        );
    }

    [Theory, MemberData(nameof(Tokenizers))]
    public void Survives_TokensThatMergeWhenTyped_No(string name)
    {
        Fixtures.SkipNone(name, "tokenizers", "tiny");
        var tokenizer = HfTokenizer.Load(Fixtures.At("tokenizers", "tiny", name));
        var first = tokenizer.Encode("t", addSpecialTokens: false);
        int[] letters = [.. first, Letter("h"), Letter("e")];
        Assert.Equal("the", tokenizer.Decode(letters).Trim());
        Assert.False(new PrefixVocabulary(tokenizer, Question).Survives(letters));

        // The token of a letter inside a word.
        int Letter(string letter) =>
            Enumerable
                .Range(0, tokenizer.VocabularySize)
                .First(id => !tokenizer.IsSpecial(id) && tokenizer.Decode([.. first, id]) == tokenizer.Decode(first) + letter);
    }
}
