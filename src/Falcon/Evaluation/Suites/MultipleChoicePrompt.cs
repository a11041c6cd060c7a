using System.Text;
using Falcon.Data;
using Falcon.Runtime;

namespace Falcon.Evaluation.Suites;

/// <summary>One question with four choices.</summary>
/// <param name="Question">The question; the prompt drops white space at its ends.</param>
/// <param name="Choices">Four texts, used as they are.</param>
/// <param name="Answer">Index of the right choice, 0 to 3.</param>
public sealed record MultipleChoiceQuestion(string Question, IReadOnlyList<string> Choices, int Answer);

/// <summary>
/// Prompts of MMLU and WMDP as the lm-evaluation-harness builds them: description, shots, question, ending in <c>Answer:</c> without a
/// space.
/// </summary>
public static class MultipleChoicePrompt
{
    private const string Letters = "ABCD";
    private const string Gap = "\n\n"; // ends the description, in the system message too

    /// <summary>The continuations that are scored: a space and the letter.</summary>
    public static IReadOnlyList<string> Continuations { get; } = [" A", " B", " C", " D"];

    /// <summary>The choice texts by whose length accuracy may be normalised: the letters.</summary>
    public static IReadOnlyList<string> ChoiceTexts { get; } = ["A", "B", "C", "D"];

    /// <summary>An MMLU prompt.</summary>
    /// <param name="subject">Name of the subject as in the data, with underscores (<c>abstract_algebra</c>).</param>
    /// <param name="question">The question to answer.</param>
    /// <param name="shots">Solved questions before it: the first rows of the development split, in order.</param>
    public static string Mmlu(string subject, MultipleChoiceQuestion question, IEnumerable<MultipleChoiceQuestion> shots) =>
        Build(subject.Replace('_', ' '), question, shots);

    /// <summary>A WMDP prompt; the task has no shots.</summary>
    /// <param name="subset"><c>bio</c>, <c>chem</c> or <c>cyber</c>.</param>
    /// <param name="question">The question to answer.</param>
    /// <exception cref="ArgumentException">Another subset.</exception>
    public static string Wmdp(string subset, MultipleChoiceQuestion question) => Build(WmdpSubject(subset), question, []);

    /// <summary>
    /// The prompt before full answers, as the harness's task <c>mmlu_continuation</c> has it: the questions without their choices.
    /// </summary>
    /// <param name="subject">What the questions are about, in words; null leaves the description out.</param>
    /// <param name="question">The question to answer.</param>
    /// <param name="shots">Solved questions before it.</param>
    public static string Continuation(string? subject, MultipleChoiceQuestion question, IEnumerable<MultipleChoiceQuestion> shots)
    {
        var prompt = new StringBuilder(subject is null ? "" : AnswersDescription(subject) + Gap);
        foreach (var shot in shots)
            prompt
                .Append("Question: ")
                .Append(PythonText.Strip(shot.Question))
                .Append("\nAnswer: ")
                .Append(shot.Choices[shot.Answer])
                .Append("\n\n");
        return prompt.Append("Question: ").Append(PythonText.Strip(question.Question)).Append("\nAnswer:").ToString();
    }

    /// <summary>The prompt before letters for questions outside the benchmarks: no description, up to 26 choices.</summary>
    internal static string Bare(MultipleChoiceQuestion question)
    {
        var prompt = new StringBuilder().Append(PythonText.Strip(question.Question)).Append('\n');
        for (var i = 0; i < question.Choices.Count; i++)
            prompt.Append((char)('A' + i)).Append(". ").Append(question.Choices[i]).Append('\n');
        return prompt.Append("Answer:").ToString();
    }

    /// <summary>An MMLU question for every form; in chat form the description is the system message, and shots are turns.</summary>
    internal static AskedQuestion AskedMmlu(string subject, MultipleChoiceQuestion question, IReadOnlyList<MultipleChoiceQuestion> shots) =>
        new(Bare(question))
        {
            Plain = Mmlu(subject, question, shots),
            System = LettersDescription(subject.Replace('_', ' ')) + Gap,
            Examples = [.. shots.Select((shot, i) => new CorpusRecord(Bare(shot), Letters[shot.Answer].ToString(), null, i))],
        };

    /// <summary>A WMDP question for every form.</summary>
    internal static AskedQuestion AskedWmdp(string subset, MultipleChoiceQuestion question) =>
        new(Bare(question)) { Plain = Wmdp(subset, question), System = LettersDescription(WmdpSubject(subset)) + Gap };

    /// <summary>A question before full answers, for every form.</summary>
    internal static AskedQuestion AskedContinuation(
        string subject,
        MultipleChoiceQuestion question,
        IReadOnlyList<MultipleChoiceQuestion> shots
    ) =>
        new(Continuation(null, question, []))
        {
            Plain = Continuation(subject, question, shots),
            System = AnswersDescription(subject) + Gap,
            Examples = [.. shots.Select((shot, i) => new CorpusRecord(Continuation(null, shot, []), shot.Choices[shot.Answer], null, i))],
        };

    /// <summary>A question with lettered choices outside the benchmarks, for every form.</summary>
    internal static AskedQuestion AskedBare(MultipleChoiceQuestion question) => new(Bare(question)) { Plain = Bare(question) };

    internal static string WmdpSubject(string subset) => subset switch
    {
        "bio" => "biology",
        "chem" => "chemistry",
        "cyber" => "cybersecurity",
        _ => throw new ArgumentException($"WMDP has the subsets bio, chem and cyber, not '{subset}'", nameof(subset)),
    };

    private static string LettersDescription(string subject) =>
        $"The following are multiple choice questions (with answers) about {subject}.";

    private static string AnswersDescription(string subject) => $"The following are questions (with answers) about {subject}.";

    private static string Build(string subject, MultipleChoiceQuestion question, IEnumerable<MultipleChoiceQuestion> shots)
    {
        var prompt = new StringBuilder(LettersDescription(subject)).Append(Gap);
        foreach (var shot in shots) Append(prompt, shot).Append(' ').Append(Letters[shot.Answer]).Append("\n\n");
        return Append(prompt, question).ToString();
    }

    private static StringBuilder Append(StringBuilder prompt, MultipleChoiceQuestion question)
    {
        if (question.Choices.Count != Letters.Length)
            throw new ArgumentException($"a question needs {Letters.Length} choices, not {question.Choices.Count}", nameof(question));
        prompt.Append(PythonText.Strip(question.Question)).Append('\n');
        for (var i = 0; i < Letters.Length; i++) prompt.Append(Letters[i]).Append(". ").Append(question.Choices[i]).Append('\n');
        return prompt.Append("Answer:");
    }
}
