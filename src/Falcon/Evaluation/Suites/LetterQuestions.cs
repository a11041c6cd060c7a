using Falcon.Data;
using Falcon.Runtime;

namespace Falcon.Evaluation.Suites;

/// <summary>Reads questions with four choices.</summary>
internal static class LetterQuestions
{
    /// <summary>All questions of a file.</summary>
    /// <exception cref="UserInputException">A record is not a question with four choices.</exception>
    public static IEnumerable<MultipleChoiceQuestion> Read(string file)
    {
        foreach (var record in Corpus.Stream(file))
        {
            if (record is not { Question: { } question, CorrectChoice: { } answer, Choices.Count: 4 })
                throw new UserInputException(
                    $"{file}, line {record.Line}: a question with four choices and an answer is needed; take the published file."
                );
            yield return new MultipleChoiceQuestion(question, record.Choices, answer);
        }
    }
}
