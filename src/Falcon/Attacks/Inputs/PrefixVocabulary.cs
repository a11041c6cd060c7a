using Falcon.Tokenization;

namespace Falcon.Attacks.Inputs;

/// <summary>
/// Which tokens a prefix may hold, and which prefixes survive as text. An attacker types text, so encoding that text must give the same
/// tokens again, alone and before a question.
/// </summary>
/// <param name="tokenizer">The model's tokenizer.</param>
/// <param name="question">A text before which the prefix stands.</param>
/// <param name="isTrimmed">Whether white space before the prefix is lost, as chat templates trim messages.</param>
internal sealed class PrefixVocabulary(HfTokenizer tokenizer, string question, bool isTrimmed = false)
{
    private readonly int[] _question = tokenizer.Encode(question, addSpecialTokens: false);

    /// <summary>Ids of tokens that are printable ASCII text and not special.</summary>
    public IReadOnlyList<int> Allowed { get; } =
    [.. Enumerable.Range(0, tokenizer.VocabularySize).Where(id => !tokenizer.IsSpecial(id) && IsPlain(tokenizer.Decode([id])))];

    /// <summary>
    /// Whether encoding the text of the tokens gives the tokens again, alone and before the question. With tokenizers that put a space
    /// before every text (Llama 2, Mistral) the question keeps its tokens only after a space.
    /// </summary>
    public bool Survives(int[] prefix)
    {
        var text = tokenizer.Decode(prefix);
        int[] whole = [.. prefix, .. _question];
        return Gives(text, prefix)
            && !(isTrimmed && char.IsWhiteSpace(text[0]))
            && (Gives(text + question, whole) || Gives(text + " " + question, whole));
    }

    private bool Gives(string text, int[] tokens) => tokenizer.Encode(text, addSpecialTokens: false).AsSpan().SequenceEqual(tokens);

    private static bool IsPlain(string text) => text.Length > 0 && text.All(letter => letter is >= ' ' and <= '~');
}
