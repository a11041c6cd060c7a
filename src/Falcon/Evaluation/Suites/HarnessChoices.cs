using Falcon.Data;
using Falcon.Evaluation.Metrics;
using Falcon.Results;
using Falcon.Runtime;
using Falcon.Tokenization;

namespace Falcon.Evaluation.Suites;

/// <summary>One multiple-choice question as the harness asks it: a context for the letters and one for the full answers.</summary>
/// <param name="Task">Name of the task, such as <c>mmlu_anatomy</c>.</param>
/// <param name="ForLetter">The question with its lettered choices, which ends in <c>Answer:</c>.</param>
/// <param name="ForAnswer">The question without choices, which ends in <c>Answer:</c>; null leaves full answers out.</param>
/// <param name="Question">Question, choices and right answer.</param>
internal sealed record HarnessQuestion(
    string Task,
    AskedQuestion ForLetter,
    AskedQuestion? ForAnswer,
    MultipleChoiceQuestion Question
);

/// <summary>Whether one question is answered rightly.</summary>
/// <param name="Task">Name of the task.</param>
/// <param name="Letter">The choice by the likelihood of the letters.</param>
/// <param name="Full">The choice by the likelihood of the full answers; null where they were left out.</param>
internal sealed record HarnessVerdict(string Task, MultipleChoiceScore Letter, MultipleChoiceScore? Full);

/// <summary>
/// Scores multiple-choice questions as the lm-evaluation-harness does: letters after the lettered choices (mmlu, wmdp), full answers after
/// the bare question (mmlu continuation).
/// </summary>
internal static class HarnessChoices
{
    /// <summary>Judges all questions from one likelihood pass; the letters after one question cost one forward pass.</summary>
    public static IReadOnlyList<HarnessVerdict> Judge(
        IReadOnlyList<HarnessQuestion> questions,
        LoadedModel loaded,
        PromptEncoder prompts,
        string stage,
        IRunLog log,
        CancellationToken cancellation
    ) => Judge(questions, loaded.Score(Sequences(questions, prompts, loaded.Model.Config.MaxPositions), stage, log, cancellation));

    /// <summary>The texts to score for the questions: of each the letters, then the full answers where they are asked for.</summary>
    public static IReadOnlyList<ScoredSequence> Sequences(IReadOnlyList<HarnessQuestion> questions, PromptEncoder prompts, int maxLength)
    {
        List<ScoredSequence> sequences = [];
        foreach (var item in questions)
        {
            sequences.AddRange(After(item.ForLetter, Letters(item)));
            if (item.ForAnswer is { } asked) sequences.AddRange(After(asked, item.Question.Choices));
        }

        return sequences;

        // In chat form the harness puts no space before a continuation, and the tokenizer adds nothing to the rendered chat.
        IEnumerable<ScoredSequence> After(AskedQuestion asked, IReadOnlyList<string> continuations)
        {
            var context = prompts.IsChat ? prompts.PromptText(asked) : asked.Plain!; // plain, the shots are in it
            return continuations.Select(text =>
                Sequence(prompts.Tokenizer, context, prompts.IsChat ? text : " " + text, maxLength, addSpecialTokens: !prompts.IsChat)
            );
        }
    }

    /// <summary>The verdicts from the scores of the <see cref="Sequences"/>.</summary>
    public static IReadOnlyList<HarnessVerdict> Judge(IReadOnlyList<HarnessQuestion> questions, IReadOnlyList<TokenScores> scores)
    {
        var next = 0;
        double[] Sums(int count) => [.. Enumerable.Range(0, count).Select(_ => scores[next++].LogProbabilities.Sum())];
        return
        [
            .. questions.Select(item => new HarnessVerdict(
                item.Task,
                MultipleChoiceScore.Of(Letters(item), Sums(item.Question.Choices.Count), item.Question.Answer),
                item.ForAnswer is null
                    ? null
                    : MultipleChoiceScore.Of(item.Question.Choices, Sums(item.Question.Choices.Count), item.Question.Answer)
            )),
        ];
    }

    /// <summary>
    /// A continuation after a context, encoded as the harness does. White space at the end of the context goes to the continuation. Both
    /// are encoded as one string; its first tokens, as many as the context alone has, are the context. What does not fit is cut from the
    /// left.
    /// </summary>
    internal static ScoredSequence Sequence(
        HfTokenizer tokenizer,
        string context,
        string continuation,
        int maxLength,
        bool addSpecialTokens = true
    )
    {
        var (start, end) = ContinuationWindow.MoveTrailingSpace(context, continuation);
        var before = tokenizer.Encode(start, addSpecialTokens);
        var whole = tokenizer.Encode(start + end, addSpecialTokens);
        var length = Math.Clamp(before.Length, 1, whole.Length - 1);
        var window = ContinuationWindow.Of(
            whole.AsSpan(0, length),
            whole.AsSpan(length..)[..Math.Min(whole.Length - length, maxLength)],
            maxLength
        );
        return new ScoredSequence([.. window.Input, window.Targets[^1]], window.FirstScored + 1);
    }

    /// <summary>
    /// Adds acc and acc_norm of a group of questions (a task, or several: the mean over all questions), by letter and by full answer.
    /// </summary>
    public static void AddMetrics(
        Dictionary<string, MetricValue> metrics,
        string group,
        IReadOnlyCollection<HarnessVerdict> verdicts,
        string direction,
        string how
    )
    {
        metrics[$"{group}_acc"] = Metric.Share(
            [.. verdicts.Select(verdict => verdict.Letter.Accuracy == 1)],
            direction,
            $"share of questions whose right letter has the highest log-likelihood after the lettered choices, {how}"
        );
        List<MultipleChoiceScore> full = [.. verdicts.Select(verdict => verdict.Full).OfType<MultipleChoiceScore>()];
        if (full.Count == 0)
            return;
        metrics[$"{group}_continuation_acc"] = Metric.Share(
            [.. full.Select(score => score.Accuracy == 1)],
            direction,
            $"share of questions whose right answer, written out, has the highest log-likelihood after the bare question, {how}"
        );
        metrics[$"{group}_continuation_acc_norm"] = Metric.Share(
            [.. full.Select(score => score.AccuracyByCharacters == 1)],
            direction,
            "the same with log-likelihoods divided by the answer's number of characters"
        );
    }

    private static string[] Letters(HarnessQuestion item) => [.. item.Question.Choices.Select((_, i) => ((char)('A' + i)).ToString())];
}
