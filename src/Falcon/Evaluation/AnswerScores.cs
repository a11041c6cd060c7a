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
    /// <param name="tokenizer">Its tokenizer.</param>
    /// <param name="template">How question and answer become text.</param>
    /// <param name="records">Question records.</param>
    /// <param name="progress">Called with the numbers of scored and of all texts.</param>
    /// <param name="cancellation">Stops between batches.</param>
    public static IReadOnlyList<AnswerScores> Compute(
        CausalLM model,
        HfTokenizer tokenizer,
        PromptTemplate template,
        IReadOnlyList<CorpusRecord> records,
        Action<int, int>? progress = null,
        CancellationToken cancellation = default
    )
    {
        var sequences = Sequences(tokenizer, template, records);
        return Of(
            records,
            TokenLikelihoods.Compute(
                model,
                sequences,
                tokenizer.PadId ?? 0,
                progress: done => progress?.Invoke(done, sequences.Count),
                cancellation: cancellation
            )
        );
    }

    /// <summary>
    /// The texts to score for records, one after the other: for each record the answer, the paraphrase where there is one, the wrong
    /// answers.
    /// </summary>
    public static IReadOnlyList<ScoredSequence> Sequences(
        HfTokenizer tokenizer,
        PromptTemplate template,
        IReadOnlyList<CorpusRecord> records
    )
    {
        List<ScoredSequence> sequences = [];
        foreach (var record in records)
        {
            var prompt = template.Prompt(record);
            sequences.Add(Sequence(tokenizer, template, prompt, template.Completion(record)));
            if (record.ParaphrasedAnswer is { } paraphrase)
                sequences.Add(Sequence(tokenizer, template, prompt, template.Completion(paraphrase)));
            sequences.AddRange(WrongAnswers(record).Select(answer => Sequence(tokenizer, template, prompt, template.Completion(answer))));
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

    /// <summary>
    /// Prompt and completion as tokens, those of the completion scored. The two are encoded together, because a space that opens the
    /// completion belongs to its first token. The completion begins after the tokens that this encoding shares with that of the prompt
    /// alone.
    /// </summary>
    public static ScoredSequence Sequence(HfTokenizer tokenizer, PromptTemplate template, string prompt, string completion)
    {
        var tokens = tokenizer.Encode(prompt + completion);
        if (template.EndOfText && tokenizer.EosId is { } end && (tokens.Length == 0 || tokens[^1] != end)) tokens = [.. tokens, end];
        var start = prompt.Length == 0 ? 1 : tokens.AsSpan().CommonPrefixLength(tokenizer.Encode(prompt));
        return new ScoredSequence(tokens, Math.Clamp(start, 1, tokens.Length - 1));
    }
}
