using Falcon.Data;
using Falcon.Models;
using Falcon.Results;
using Falcon.Runtime;
using Falcon.Tokenization;

namespace Falcon.Evaluation.Metrics;

/// <summary>How questions are measured.</summary>
/// <param name="RougeSamples">Number of evenly spaced questions that the model answers, for ROUGE-L; 0 means all.</param>
/// <param name="MaxNewTokens">Largest number of new tokens in an answer.</param>
/// <param name="Seed">Seed of the bootstrap intervals.</param>
public sealed record QuestionSettings(int RougeSamples = 100, int MaxNewTokens = GreedyAnswers.DefaultMaxNewTokens, long Seed = 0);

/// <summary>What a model scores on a set of questions.</summary>
/// <param name="AnswerProbability"><see cref="QuestionMetrics.AnswerProbability"/>.</param>
/// <param name="RougeL"><see cref="QuestionMetrics.RougeL"/>.</param>
/// <param name="MultipleChoice"><see cref="QuestionMetrics.MultipleChoice"/>; null where a record has no wrong answer.</param>
public sealed record QuestionValues(MetricValue AnswerProbability, MetricValue RougeL, MetricValue? MultipleChoice);

/// <summary>
/// Answer probability, ROUGE-L and multiple-choice accuracy of questions under a model in memory. The direction is <c>higher</c>;
/// a caller that measures a forget set replaces it by <c>with</c>.
/// </summary>
public static class QuestionMetrics
{
    /// <summary>All three metrics, from one likelihood pass and one generation pass.</summary>
    /// <param name="model">The whole model.</param>
    /// <param name="prompts">Its tokenizer and the form in which it is asked.</param>
    /// <param name="records">Questions with answers; at least one.</param>
    /// <param name="settings">Samples, limits and seed; null for the defaults.</param>
    /// <param name="log">Where progress goes; null for silence.</param>
    /// <param name="cancellation">Stops between batches and tokens.</param>
    /// <exception cref="ArgumentException">No record, or a plain text among them.</exception>
    public static QuestionValues Measure(
        CausalLM model,
        PromptEncoder prompts,
        IReadOnlyList<CorpusRecord> records,
        QuestionSettings? settings = null,
        IRunLog? log = null,
        CancellationToken cancellation = default
    )
    {
        settings ??= new QuestionSettings();
        var scores = Scores(model, prompts, records, log, cancellation: cancellation);
        var rouge = RougeL(model, prompts, records, settings, log, cancellation);
        return new QuestionValues(
            AnswerProbability(scores, settings.Seed),
            rouge,
            scores.All(score => score.Wrong.Count > 0) ? MultipleChoice(scores) : null
        );
    }

    /// <summary>
    /// One batched likelihood pass over every answer of every record (<see cref="AnswerScores.Compute"/>), for the functions that take
    /// scores.
    /// </summary>
    /// <param name="model">The whole model.</param>
    /// <param name="prompts">Its tokenizer and the form in which it is asked.</param>
    /// <param name="records">Questions with answers; at least one.</param>
    /// <param name="log">Where progress goes; null for silence.</param>
    /// <param name="stage">Name of the stage in the log.</param>
    /// <param name="cancellation">Stops between batches.</param>
    /// <exception cref="ArgumentException">No record, or a plain text among them.</exception>
    public static IReadOnlyList<AnswerScores> Scores(
        CausalLM model,
        PromptEncoder prompts,
        IReadOnlyList<CorpusRecord> records,
        IRunLog? log = null,
        string stage = "likelihood of answers",
        CancellationToken cancellation = default
    )
    {
        CheckQuestions(records);
        return AnswerScores.Compute(model, prompts, records, (done, total) => log?.Progress(stage, done, total), cancellation);
    }

    /// <summary>
    /// Mean over questions of exp(mean log p of the answer's tokens), end-of-text included: TOFU's probability, in 0..1. Bootstrap
    /// interval.
    /// </summary>
    /// <param name="scores">Scores of the questions.</param>
    /// <param name="seed">Seed of the bootstrap.</param>
    public static MetricValue AnswerProbability(IReadOnlyList<AnswerScores> scores, long seed = 0) => Metric.Mean(
        [.. scores.Select(score => AnswerScores.Probability(score.Answer))], Metric.Higher, seed,
        "mean over questions of exp(mean log-probability of the answer's tokens, end-of-text included)");

    /// <summary>
    /// Share of questions whose right answer has a higher mean token log-probability than every wrong one; ties count as wrong. Wilson
    /// interval.
    /// </summary>
    /// <param name="scores">Scores of the questions; each with at least one wrong answer.</param>
    /// <param name="paraphrased">Whether the paraphrased answer stands for the right one (where a record has one).</param>
    /// <exception cref="ArgumentException">A question has no wrong answer.</exception>
    public static MetricValue MultipleChoice(IReadOnlyList<AnswerScores> scores, bool paraphrased = false)
    {
        if (scores.Any(score => score.Wrong.Count == 0))
            throw new ArgumentException("multiple choice needs at least one wrong answer a question", nameof(scores));
        return Metric.Share(
            [.. scores.Select(score => AnswerScores.IsFirst(paraphrased ? score.Paraphrase ?? score.Answer : score.Answer, score.Wrong))],
            Metric.Higher,
            $"share of questions whose {(paraphrased ? "paraphrased right" : "right")} answer has the highest log-likelihood per token "
                + $"among it and all wrong answers"
        );
    }

    /// <summary>
    /// Mean over questions of the ROUGE-L recall of the greedy answer against the true one, in 0..1; Porter-stemmed as in TOFU and
    /// OpenUnlearning. Bootstrap interval.
    /// </summary>
    /// <param name="model">The whole model.</param>
    /// <param name="prompts">Its tokenizer and the form in which it is asked.</param>
    /// <param name="records">Questions with answers; at least one.</param>
    /// <param name="settings">Samples, limits and seed; null for the defaults.</param>
    /// <param name="log">Where progress goes; null for silence.</param>
    /// <param name="cancellation">Stops between tokens.</param>
    /// <exception cref="ArgumentException">No record, or a plain text among them.</exception>
    public static MetricValue RougeL(
        CausalLM model,
        PromptEncoder prompts,
        IReadOnlyList<CorpusRecord> records,
        QuestionSettings? settings = null,
        IRunLog? log = null,
        CancellationToken cancellation = default
    )
    {
        settings ??= new QuestionSettings();
        return MeanRougeL(
            RougeLRecalls(model, prompts, records, settings, log, cancellation: cancellation),
            records.Count,
            settings
        );
    }

    internal static MetricValue MeanRougeL(IReadOnlyList<double> recalls, int questions, QuestionSettings settings) =>
        Metric.Mean(
            recalls,
            Metric.Higher,
            settings.Seed,
            $"mean ROUGE-L recall (Porter-stemmed) of the greedy answer of up to {settings.MaxNewTokens} tokens against the true answer, "
                + $"over {(recalls.Count < questions ? $"{recalls.Count} evenly spaced of {questions}" : "all")} questions"
        );

    /// <summary>The recall of each answered question.</summary>
    internal static double[] RougeLRecalls(
        CausalLM model,
        PromptEncoder prompts,
        IReadOnlyList<CorpusRecord> records,
        QuestionSettings settings,
        IRunLog? log = null,
        string stage = "answers",
        CancellationToken cancellation = default
    )
    {
        CheckQuestions(records);
        var asked = EvenlySpaced(records, settings.RougeSamples);
        var answers = GreedyAnswers.Generate(
            model,
            prompts,
            [.. asked.Select(prompts.EncodePrompt)],
            settings.MaxNewTokens,
            (done, total) => log?.Progress(stage, done, total),
            cancellation
        );
        return [.. asked.Zip(answers, (record, answer) => Rouge.LongestCommonSubsequence(record.Answer!, answer, stem: true).Recall)];
    }

    /// <summary>Some of n items, evenly spaced: those at floor(i * n / count) for i below count.</summary>
    /// <param name="items">The items.</param>
    /// <param name="count">How many; 0, or n and more, gives all.</param>
    public static IReadOnlyList<T> EvenlySpaced<T>(IReadOnlyList<T> items, int count) =>
        count <= 0 || count >= items.Count
            ? items
            : [.. Enumerable.Range(0, count).Select(i => items[(int)((long)i * items.Count / count)])];

    private static void CheckQuestions(IReadOnlyList<CorpusRecord> records)
    {
        if (records.Count == 0) throw new ArgumentException("at least one question is needed", nameof(records));
        if (records.FirstOrDefault(record => record.Question is null || record.Answer is null) is { } text)
            throw new ArgumentException($"the record of line {text.Line} is a plain text, not a question with an answer", nameof(records));
    }
}
