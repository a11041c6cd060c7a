using Falcon.Tokenization;

namespace Falcon.Attacks;

/// <summary>Which tokens a prefix may hold, and which prefixes survive being written as text: an attacker types text, so its tokens must come back from it, before a question too.</summary>
/// <param name="tokenizer">The model's tokenizer.</param>
/// <param name="question">A text before which the prefix stands.</param>
internal sealed class PrefixVocabulary(HfTokenizer tokenizer, string question)
{
    private readonly int[] _question = tokenizer.Encode(question, addSpecialTokens: false);

    /// <summary>Ids of printable ASCII text that are no special tokens.</summary>
    public IReadOnlyList<int> Allowed { get; } = [.. Enumerable.Range(0, tokenizer.VocabularySize).Where(id => !tokenizer.IsSpecial(id) && IsPlain(tokenizer.Decode([id])))];

    /// <summary>Whether the tokens come back from their text, alone and before the question.</summary>
    public bool Survives(int[] prefix)
    {
        var text = tokenizer.Decode(prefix);
        return tokenizer.Encode(text, addSpecialTokens: false).AsSpan().SequenceEqual(prefix) && tokenizer.Encode(text + question, addSpecialTokens: false).AsSpan().SequenceEqual([.. prefix, .. _question]);
    }

    private static bool IsPlain(string text) => text.Length > 0 && text.All(letter => letter is >= ' ' and <= '~');
}
