using Falcon.Data;
using Falcon.Evaluation;
using Falcon.Tokenization;

namespace Falcon.Attacks.Protocol;

/// <summary>
/// A text an attacker has: a prompt and what follows it, in the words that the model sees. Plain text has an empty prompt.
/// </summary>
/// <param name="Prompt">What stands before the answer, template included.</param>
/// <param name="Completion">The answer with the template's opening, or the plain text.</param>
internal sealed record AttackText(string Prompt, string Completion)
{
    /// <summary>Both together.</summary>
    public string Whole => Prompt + Completion;

    /// <summary>The tokens, and where the completion's begin; with end-of-text where the template says so.</summary>
    public ScoredSequence Tokens(HfTokenizer tokenizer, PromptTemplate template) =>
        AnswerScores.Sequence(tokenizer, template, Prompt, Completion);
}
