using System.Text.RegularExpressions;
using Falcon.Runtime;

namespace Falcon.Data;

/// <summary>
/// How a question and its answer become the text for a model: prompt, completion and, if <see cref="EndOfText"/> is set, the tokenizer's
/// end-of-text token. The default is <c>Question: {question}\nAnswer: {answer}</c>. Plain text has an empty prompt and is its own
/// completion. Tokenise prompt and completion together and split at the prompt's length, since a space that begins the completion is part
/// of its first token.
/// </summary>
/// <param name="Question">The prompt, which contains <c>{question}</c> once. Every other character is literal.</param>
/// <param name="Answer">The completion, which contains <c>{answer}</c> once.</param>
/// <param name="EndOfText">Whether the caller appends the tokenizer's end-of-text token after the completion.</param>
public sealed partial record PromptTemplate(
    string Question = "Question: {question}\nAnswer:",
    string Answer = " {answer}",
    bool EndOfText = true)
{
    /// <summary>Checks the placeholders.</summary>
    /// <returns>This template.</returns>
    /// <exception cref="UserInputException">A placeholder is missing, occurs twice, or is not known.</exception>
    public PromptTemplate Validate()
    {
        Check(Question, "question");
        Check(Answer, "answer");
        return this;
    }

    /// <summary>
    /// The text before the answer: <see cref="Question"/> with the record's question filled in; empty for plain text.
    /// </summary>
    /// <remarks>
    /// For a conversation this is the user message before the last answer; the tokenizer's chat template renders all of it.
    /// </remarks>
    public string Prompt(CorpusRecord record) => record.Question is { } question ? Prompt(question) : "";

    /// <summary>The prompt for a question that is not in a record.</summary>
    public string Prompt(string question) => Fill(Question, "{question}", question);

    /// <summary>
    /// The text after the prompt, to learn, score or forget: <see cref="Answer"/> with the record's answer filled in; for plain text, the
    /// text itself.
    /// </summary>
    /// <exception cref="ArgumentException">The record has a question but no answer, or neither answer nor text.</exception>
    public string Completion(CorpusRecord record) =>
        record switch
        {
            { Question: not null, Answer: { } answer } => Completion(answer),
            { Question: null, Text: { } text } => text,
            _ => throw new ArgumentException(
                $"the record of line {record.Line} has neither a question with an answer nor a text",
                nameof(record)
            ),
        };

    /// <summary>The completion for an answer that is not a record's own, such as a perturbed answer or a choice.</summary>
    public string Completion(string answer) => Fill(Answer, "{answer}", answer);

    /// <summary>Prompt and completion together.</summary>
    /// <exception cref="ArgumentException">As in <see cref="Completion(CorpusRecord)"/>.</exception>
    public string Whole(CorpusRecord record) => Prompt(record) + Completion(record);

    /// <summary>Fills in the text; placeholders inside the text itself stay unchanged.</summary>
    private static string Fill(string template, string placeholder, string text)
    {
        var at = template.IndexOf(placeholder, StringComparison.Ordinal);
        return at < 0
            ? throw new InvalidOperationException($"the prompt template lacks {placeholder}; call Validate first")
            : template[..at] + text + template[(at + placeholder.Length)..];
    }

    private static void Check(string template, string name)
    {
        var found = Placeholder().Matches(template).Select(match => match.Value).ToList();
        var needed = $"{{{name}}}";
        if (found.FirstOrDefault(placeholder => placeholder != needed) is { } other)
            throw new UserInputException($"prompt template, {name}: {other} is not a placeholder here; only {needed} is.");
        if (found.Count != 1)
            throw new UserInputException(
                $"prompt template, {name}: {needed} occurs {found.Count} times in \"{template.ReplaceLineEndings("\\n")}\"; "
                    + "it must occur once."
            );
    }

    [GeneratedRegex(@"\{[a-z_]+\}")]
    private static partial Regex Placeholder();
}
