using Falcon.Data;
using Falcon.Runtime;

namespace Falcon.Tokenization;

/// <summary>
/// What a chat template writes after the assistant's last message: the token that ends the turn, and what follows it, which is no part of
/// the answer (a line feed, a second end token).
/// </summary>
/// <param name="End">The text up to and including the token that ends the turn; empty where the template writes none.</param>
/// <param name="Rest">The text after it.</param>
/// <param name="TokenId">The token that ends the turn; null where the template writes none.</param>
internal sealed record TurnEnding(string End, string Rest, int? TokenId)
{
    // Letters that no template looks for, and that neither end of is trimmed.
    private const string Content = "Qxqzx";

    /// <summary>All that the template writes after the message.</summary>
    public string Whole => End + Rest;

    /// <summary>The ending of a tokenizer's chat template; null where it has none, or one that cannot be rendered.</summary>
    public static TurnEnding? Of(HfTokenizer tokenizer)
    {
        if (tokenizer.ChatTemplate is null)
            return null;
        try
        {
            var whole = tokenizer.RenderChat([new ChatMessage("user", "Hello"), new ChatMessage("assistant", Content)], false);
            var at = whole.LastIndexOf(Content, StringComparison.Ordinal);
            return at < 0 ? null : Split(tokenizer, whole[(at + Content.Length)..]);
        }
        catch (FalconException)
        {
            return null; // said when a conversation is rendered; plain prompts do not need the template
        }
    }

    /// <summary>The parts of what a template writes after a message: up to the first end or special token, and the rest.</summary>
    public static TurnEnding Split(HfTokenizer tokenizer, string ending)
    {
        foreach (var id in tokenizer.Encode(ending, addSpecialTokens: false))
        {
            if (!tokenizer.IsSpecial(id) && id != tokenizer.EosId)
                continue;
            var token = tokenizer.TokenOf(id)!;
            var at = ending.IndexOf(token, StringComparison.Ordinal);
            if (at >= 0)
                return new TurnEnding(ending[..(at + token.Length)], ending[(at + token.Length)..], id);
        }

        return new TurnEnding("", ending, null);
    }
}
