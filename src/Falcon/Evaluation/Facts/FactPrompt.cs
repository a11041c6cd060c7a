using Falcon.Data;
using Falcon.Tokenization;

namespace Falcon.Evaluation.Facts;

/// <summary>A question as the model reads it, and what follows.</summary>
/// <param name="Tokens">The prompt's tokens, up to where the answer begins.</param>
/// <param name="Continued">Prompt and an answer as tokens, the answer scored; no token ends it.</param>
internal sealed record FactPrompt(int[] Tokens, Func<string, ScoredSequence> Continued)
{
    /// <summary>A completion is raw text, whatever the form; a question is asked in the form of the evaluation.</summary>
    public static FactPrompt Of(PromptEncoder prompts, FactQuestion question)
    {
        var asked = new AskedQuestion(question.Question) { WithoutForm = question.IsCompletion };
        var before = prompts.EncodePrompt(asked);
        if (!question.IsCompletion) return new FactPrompt(before, answer => ScoredSequence.Of(prompts.EncodeStart(asked, answer)));
        // Encoded as a whole and split where the tokens part, since a space that opens an answer belongs to its first token.
        return new FactPrompt(before, answer =>
        {
            var tokens = prompts.EncodePromptText(question.Question + answer, isRendered: false);
            return new ScoredSequence(tokens, Math.Clamp(tokens.AsSpan().CommonPrefixLength(before), 1, tokens.Length - 1));
        });
    }
}
