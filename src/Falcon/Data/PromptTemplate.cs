using System.Text.RegularExpressions;
using Falcon.Runtime;

namespace Falcon.Data;

/// <summary>
/// How a question and its answer become the text a model sees: prompt, then completion, then (where <see cref="EndOfText"/> holds) the
/// tokenizer's end-of-text token. The default is <c>Question: {question}\nAnswer: {answer}</c>. Plain text has an empty prompt and is its
/// own completion. Tokenise prompt and completion together and split at the prompt's length: a space that opens the completion belongs to
/// its first token.
/// </summary>
/// <param name="Question">The prompt, with <c>{question}</c> once. Every other character stands for itself.</param>
/// <param name="Answer">The completion, with <c>{answer}</c> once.</param>
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
    /// The text before the answer: the template's <see cref="Question"/> with the record's question in it; empty for plain text.
    /// </summary>
    /// <remarks>
    /// Of a conversation this is the message before the last answer; the tokenizer's chat template renders the whole one.
    /// </remarks>
    public string Prompt(CorpusRecord record) => record.Question is { } question ? Prompt(question) : "";

    /// <summary>The prompt for a question that is not in a record.</summary>
    public string Prompt(string question) => Fill(Question, "{question}", question);

    /// <summary>
    /// The text to learn, score or forget after the prompt: the template's <see cref="Answer"/> with the record's answer in it; the text
    /// itself for plain text.
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

    /// <summary>Puts the text in once; placeholders inside the text itself stay as they are.</summary>
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
                $"prompt template, {name}: {needed} occurs {found.Count} times in \"{template.ReplaceLineEndings("\\n")}\"; it must stand "
                    + $"there once."
            );
    }

    [GeneratedRegex(@"\{[a-z_]+\}")]
    private static partial Regex Placeholder();
}
