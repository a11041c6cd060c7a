using Falcon.Data;
using Falcon.Evaluation;
using Falcon.Tokenization;

namespace Falcon.Attacks.Protocol;

/// <summary>
/// What an attacker has, and the questions that score the attack. Development and test questions share no fact: nothing that the attacker
/// tunes or trains on tells an answer that is scored (the protocol of Deeb and Roger 2024, arXiv 2410.08827).
/// </summary>
/// <param name="Development">Questions with answers that the attacker may tune and train on.</param>
/// <param name="Test">Questions that are scored.</param>
/// <param name="Utility">
/// Questions about what the model should keep. A changed model that no longer answers them does not count as recovered. May be empty.
/// </param>
/// <param name="ForgetTexts">Texts of the forget set that say nothing about <paramref name="Test"/>.</param>
/// <param name="RetainTexts">Texts of the retain set.</param>
/// <param name="BenignTexts">Texts of neither set; may be empty.</param>
/// <param name="Template">How question and answer become text.</param>
public sealed record AttackData(
    IReadOnlyList<AttackItem> Development,
    IReadOnlyList<AttackItem> Test,
    IReadOnlyList<AttackItem> Utility,
    IReadOnlyList<AttackText> ForgetTexts,
    IReadOnlyList<AttackText> RetainTexts,
    IReadOnlyList<AttackText> BenignTexts,
    PromptTemplate Template
)
{
    /// <summary>How the model answers: the form in which the original does better on <see cref="Development"/>.</summary>
    public AnswerForm Form { get; init; }
}

/// <summary>A multiple-choice question about a fact.</summary>
/// <param name="Question">The question, without template.</param>
/// <param name="Choices">The answers to choose from, two or more.</param>
/// <param name="Gold">Index of the right answer, from 0.</param>
public sealed record AttackItem(string Question, IReadOnlyList<string> Choices, int Gold)
{
    /// <summary>The right answer.</summary>
    public string Answer => Choices[Gold];
}

/// <summary>How a model answers a multiple-choice question.</summary>
public enum AnswerForm
{
    /// <summary>By full answer: the choice whose text has the highest mean token log-probability after the question.</summary>
    FullAnswer,

    /// <summary>By letter: the choice whose letter is the most likely one after question and lettered choices.</summary>
    Letter,
}

/// <summary>A text of the attacker: a prompt and what follows it, as the model sees them. Plain text has an empty prompt.</summary>
/// <param name="Prompt">The text before the answer, template included.</param>
/// <param name="Completion">The answer as the template writes it, or the plain text.</param>
public sealed record AttackText(string Prompt, string Completion)
{
    /// <summary>Prompt and completion.</summary>
    public string Whole => Prompt + Completion;

    /// <summary>The tokens and where those of the completion begin; ends with the end-of-text token where the template says so.</summary>
    public ScoredSequence Tokens(HfTokenizer tokenizer, PromptTemplate template) =>
        AnswerScores.Sequence(tokenizer, template, Prompt, Completion);
}
