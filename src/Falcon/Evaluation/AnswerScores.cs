using Falcon.Data;
using Falcon.Models;
using Falcon.Tokenization;

namespace Falcon.Evaluation;

/// <summary>
/// Token log-probabilities of the answers to one question under a model: the right answer, its paraphrase where there is one, and wrong
/// answers. All likelihood metrics are computed from them.
/// </summary>
/// <param name="Answer">log p (natural logarithm) of each token of the right answer, end-of-text token included.</param>
/// <param name="Paraphrase">The same for the paraphrased answer; null without one.</param>
/// <param name="Wrong">The same for each wrong answer; empty without any.</param>
public sealed record AnswerScores(double[] Answer, double[]? Paraphrase, IReadOnlyList<double[]> Wrong)
{
    /// <summary>
    /// Whether each token of the right answer is the most likely one, given the question and the true tokens before it; end-of-text token
    /// included.
    /// </summary>
    public IReadOnlyList<bool> AnswerHits { get; init; } = [];

    /// <summary>exp of the mean token log-probability, in (0, 1]: the geometric mean of the token probabilities.</summary>
    public static double Probability(double[] logProbabilities) => Math.Exp(logProbabilities.Average());

    /// <summary>Whether the right answer has a higher mean token log-probability than every wrong one; false for a tie.</summary>
    public static bool IsFirst(double[] right, IReadOnlyList<double[]> wrong)
    {
        var score = right.Average();
        return wrong.All(other => other.Average() < score);
    }

    /// <summary>Scores every answer of every record in one batched pass.</summary>
    /// <param name="model">The whole model.</param>
    /// <param name="prompts">Its tokenizer and the form in which it is asked.</param>
    /// <param name="records">Question records.</param>
    /// <param name="progress">Called with the numbers of scored and of all texts.</param>
    /// <param name="cancellation">Stops between batches.</param>
    public static IReadOnlyList<AnswerScores> Compute(
        CausalLM model,
        PromptEncoder prompts,
        IReadOnlyList<CorpusRecord> records,
        Action<int, int>? progress = null,
        CancellationToken cancellation = default
    )
    {
        var sequences = Sequences(prompts, records);
        return Of(
            records,
            TokenLikelihoods.Compute(
                model,
                sequences,
                prompts.Tokenizer.PadId ?? 0,
                progress: done => progress?.Invoke(done, sequences.Count),
                cancellation: cancellation
            )
        );
    }

    /// <summary>
    /// The texts to score for records, one after the other: for each record the answer, the paraphrase where there is one, the wrong
    /// answers.
    /// </summary>
    public static IReadOnlyList<ScoredSequence> Sequences(PromptEncoder prompts, IReadOnlyList<CorpusRecord> records)
    {
        ArgumentNullException.ThrowIfNull(prompts);
        List<ScoredSequence> sequences = [];
        foreach (var record in records)
        {
            sequences.Add(ScoredSequence.Of(prompts.Encode(record)));
            if (record.ParaphrasedAnswer is { } paraphrase) sequences.Add(ScoredSequence.Of(prompts.Encode(record, paraphrase)));
            sequences.AddRange(WrongAnswers(record).Select(answer => ScoredSequence.Of(prompts.Encode(record, answer))));
        }

        return sequences;
    }

    /// <summary>The scores of records, from the token scores of their <see cref="Sequences"/>.</summary>
    public static IReadOnlyList<AnswerScores> Of(IReadOnlyList<CorpusRecord> records, IReadOnlyList<TokenScores> scores)
    {
        List<AnswerScores> results = [];
        var next = 0;
        foreach (var record in records)
        {
            var answer = scores[next++];
            var paraphrase = record.ParaphrasedAnswer is null ? null : scores[next++].LogProbabilities;
            var wrong = WrongAnswers(record).Select(_ => scores[next++].LogProbabilities).ToList();
            results.Add(new AnswerScores(answer.LogProbabilities, paraphrase, wrong) { AnswerHits = answer.Hits });
        }

        return results;
    }

    /// <summary>The wrong answers of a record: its perturbed answers (TOFU), or the other choices of a multiple-choice question.</summary>
    public static IEnumerable<string> WrongAnswers(CorpusRecord record) =>
        record.PerturbedAnswers.Count > 0 ? record.PerturbedAnswers : record.Choices.Where((_, i) => i != record.CorrectChoice);
}
