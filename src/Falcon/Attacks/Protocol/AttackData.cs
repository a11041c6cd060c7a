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
/// <param name="PromptForm">The form in which the model is asked.</param>
public sealed record AttackData(
    IReadOnlyList<AttackItem> Development,
    IReadOnlyList<AttackItem> Test,
    IReadOnlyList<AttackItem> Utility,
    IReadOnlyList<AttackText> ForgetTexts,
    IReadOnlyList<AttackText> RetainTexts,
    IReadOnlyList<AttackText> BenignTexts,
    PromptForm PromptForm
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

/// <summary>A text of the attacker: a question with its answer, a conversation, or plain text.</summary>
/// <param name="Record">The record.</param>
public sealed record AttackText(CorpusRecord Record)
{
    /// <summary>A question with its answer.</summary>
    public static AttackText Of(AttackItem item)
    {
        ArgumentNullException.ThrowIfNull(item);
        return new AttackText(new CorpusRecord(item.Question, item.Answer, null, 0));
    }

    /// <summary>Whether there is a question.</summary>
    public bool IsQuestion => Record.Question is not null;

    /// <summary>All that the text says, without template.</summary>
    public string Content =>
        Record.Messages.Count > 0
            ? string.Join('\n', Record.Messages.Select(message => message.Content))
            : IsQuestion ? $"{Record.Question}\n{Record.Answer}" : Record.Text!;

    /// <summary>The same prompt with the answer of another text.</summary>
    internal AttackText Answered(AttackText other) =>
        IsQuestion
            ? new AttackText(Record with { Answer = other.Record.Answer ?? other.Record.Text })
            : new AttackText(Record with { Text = other.Record.Text ?? other.Record.Answer });

    /// <summary>The tokens and where those of the answer begin; ends with the form's end token.</summary>
    public ScoredSequence Tokens(PromptEncoder prompts)
    {
        ArgumentNullException.ThrowIfNull(prompts);
        return ScoredSequence.Of(prompts.Encode(Record));
    }
}
