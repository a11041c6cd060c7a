using Falcon.Tokenization;

namespace Falcon.Attacks.Inputs;

/// <summary>
/// Which tokens a prefix may hold, and which prefixes survive being written as text: an attacker types text, so its tokens must come back
/// from it, before a question too.
/// </summary>
/// <param name="tokenizer">The model's tokenizer.</param>
/// <param name="question">A text before which the prefix stands.</param>
internal sealed class PrefixVocabulary(HfTokenizer tokenizer, string question)
{
    private readonly int[] _question = tokenizer.Encode(question, addSpecialTokens: false);

    /// <summary>Ids of printable ASCII text that are no special tokens.</summary>
    public IReadOnlyList<int> Allowed { get; } =
    [.. Enumerable.Range(0, tokenizer.VocabularySize).Where(id => !tokenizer.IsSpecial(id) && IsPlain(tokenizer.Decode([id])))];

    /// <summary>
    /// Whether the tokens come back from their text, alone and before the question. Tokenizers that put a space before a text (Llama 2,
    /// Mistral) get the question's own tokens only behind a space.
    /// </summary>
    public bool Survives(int[] prefix)
    {
        var text = tokenizer.Decode(prefix);
        int[] whole = [.. prefix, .. _question];
        return Gives(text, prefix) && (Gives(text + question, whole) || Gives(text + " " + question, whole));
    }

    private bool Gives(string text, int[] tokens) => tokenizer.Encode(text, addSpecialTokens: false).AsSpan().SequenceEqual(tokens);

    private static bool IsPlain(string text) => text.Length > 0 && text.All(letter => letter is >= ' ' and <= '~');
}
