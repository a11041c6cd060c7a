namespace Falcon.Data;

/// <summary>One message of a conversation.</summary>
/// <param name="Role"><c>system</c>, <c>user</c>, <c>assistant</c> or <c>tool</c>.</param>
/// <param name="Content">The text of the message, as it stands in the file.</param>
public sealed record ChatMessage(string Role, string Content);

/// <summary>
/// One record of a corpus: a question with its answer, or a plain text. Texts are kept as they stand in the file, white space included.
/// </summary>
/// <param name="Question">The question or prompt; of a conversation the message before the last answer. Null for plain text.</param>
/// <param name="Answer">The answer or completion; of a multiple-choice item the text of the correct choice. Null for plain text.</param>
/// <param name="Text">The plain text; null when there is a question.</param>
/// <param name="Line">Where the record starts: the 1-based line of a text file, the 1-based row of a Parquet file.</param>
public sealed record CorpusRecord(string? Question, string? Answer, string? Text, int Line)
{
    /// <summary>The question in other words (TOFU's <c>paraphrased_question</c>), or null.</summary>
    public string? ParaphrasedQuestion { get; init; }

    /// <summary>The answer in other words (TOFU's <c>paraphrased_answer</c>), or null.</summary>
    public string? ParaphrasedAnswer { get; init; }

    /// <summary>Wrong answers in the form of the paraphrased one (TOFU's <c>perturbed_answer</c>); empty where the file has none.</summary>
    public IReadOnlyList<string> PerturbedAnswers { get; init; } = [];

    /// <summary>The choices of a multiple-choice item; empty where there are none.</summary>
    public IReadOnlyList<string> Choices { get; init; } = [];

    /// <summary>The 0-based index of the correct choice, or null.</summary>
    public int? CorrectChoice { get; init; }

    /// <summary>
    /// The subject of the item: the field <c>subject</c>, or for files named as MMLU's (<c>SUBJECT_test.csv</c>) that part of the name.
    /// </summary>
    public string? Subject { get; init; }

    /// <summary>The whole conversation for the chat template; empty where the file has no <c>messages</c>.</summary>
    public IReadOnlyList<ChatMessage> Messages { get; init; } = [];
}
