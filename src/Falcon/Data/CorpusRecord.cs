using System.Globalization;
using Falcon.Runtime;

namespace Falcon.Data;

/// <summary>One message of a conversation.</summary>
/// <param name="Role"><c>system</c>, <c>developer</c>, <c>user</c>, <c>assistant</c> or <c>tool</c>.</param>
/// <param name="Content">The text of the message, unchanged.</param>
public sealed record ChatMessage(string Role, string Content);

/// <summary>
/// One record of a corpus: a question with its answer, or a plain text. Texts are kept unchanged, white space included.
/// </summary>
/// <param name="Question">The question or prompt; in a conversation, the user message before the last answer. Null for plain text.</param>
/// <param name="Answer">The answer or completion; in a multiple-choice item, the text of the correct choice. Null for plain text.</param>
/// <param name="Text">The plain text; null when there is a question.</param>
/// <param name="Line">Where the record starts: the line of a text file or the row of a Parquet file, from 1.</param>
public sealed record CorpusRecord(string? Question, string? Answer, string? Text, int Line)
{
    /// <summary>The question in other words (TOFU's <c>paraphrased_question</c>), or null.</summary>
    public string? ParaphrasedQuestion { get; init; }

    /// <summary>The answer in other words (TOFU's <c>paraphrased_answer</c>), or null.</summary>
    public string? ParaphrasedAnswer { get; init; }

    /// <summary>Wrong answers worded like the paraphrased one (TOFU's <c>perturbed_answer</c>); empty when there are none.</summary>
    public IReadOnlyList<string> PerturbedAnswers { get; init; } = [];

    /// <summary>The choices of a multiple-choice item; empty for other records.</summary>
    public IReadOnlyList<string> Choices { get; init; } = [];

    /// <summary>The 0-based index of the correct choice, or null.</summary>
    public int? CorrectChoice { get; init; }

    /// <summary>
    /// The subject: the field <c>subject</c>, or for files named like MMLU's (<c>SUBJECT_test.csv</c>) that part of the name; null for
    /// none.
    /// </summary>
    public string? Subject { get; init; }

    /// <summary>
    /// The whole conversation, for the chat template; it ends with the assistant's message. Empty when the record has no <c>messages</c>.
    /// </summary>
    public IReadOnlyList<ChatMessage> Messages { get; init; } = [];

    /// <summary>The file of a conversation, for messages about it; null for other records.</summary>
    public string? File { get; init; }

    /// <summary>
    /// The token ids of a row that comes tokenised (<c>input_ids</c>), which has neither question nor text; empty for other records.
    /// </summary>
    public IReadOnlyList<int> TokenIds { get; init; } = [];

    /// <summary>
    /// Index of the first of the <see cref="TokenIds"/> that counts in a loss, as <c>labels</c> say; 0 where all count.
    /// </summary>
    public int AnswerFrom { get; init; }

    /// <summary>Checks that the <see cref="TokenIds"/> are ids of a vocabulary.</summary>
    /// <exception cref="UserInputException">One is not; the message names the line.</exception>
    internal void RequireKnown(string file, int vocabulary)
    {
        foreach (var id in TokenIds)
            if (id >= vocabulary)
                throw new UserInputException(
                    string.Create(
                        CultureInfo.InvariantCulture,
                        $"{file}, line {Line}, field \"input_ids\": {id} is no token of this model, whose vocabulary has {vocabulary}; "
                            + $"use the ids of the model's own tokenizer."
                    )
                );
    }
}
