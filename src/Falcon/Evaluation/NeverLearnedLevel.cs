using Falcon.Data;
using Falcon.Evaluation.Metrics;
using Falcon.Models;
using Falcon.Tokenization;

namespace Falcon.Evaluation;

/// <summary>
/// Estimates the loss of an answer under a model that never learned it, without such a model. Below that level the answer is still known;
/// far above it the model avoids the answer, which a model that never learned it would not do. A loss is the mean over the tokens of an
/// answer, in nats.
/// </summary>
public static class NeverLearnedLevel
{
    /// <summary>
    /// The median loss, under the original model, of the first wrong answer to each question (perturbed answer or wrong choice).
    /// </summary>
    /// <param name="original">The whole unchanged model.</param>
    /// <param name="prompts">Its tokenizer and the form in which it is asked.</param>
    /// <param name="records">Questions.</param>
    /// <param name="cancellation">Stops between batches.</param>
    /// <returns>
    /// The level; null where a question has no wrong answer. (Answers to other forget questions would not do: a model that has memorised
    /// them finds them likely after a few tokens.)
    /// </returns>
    public static double? OfWrongAnswers(
        CausalLM original,
        PromptEncoder prompts,
        IReadOnlyList<CorpusRecord> records,
        CancellationToken cancellation = default
    )
    {
        List<CorpusRecord> wrong =
        [
            .. records
                .Select(record =>
                    AnswerScores.WrongAnswers(record).FirstOrDefault() is { } answer
                        ? record with
                        {
                            Answer = answer,
                            ParaphrasedAnswer = null,
                            PerturbedAnswers = [],
                            Choices = [],
                            CorrectChoice = null,
                        }
                        : null
                )
                .OfType<CorpusRecord>(),
        ];
        return wrong.Count == 0 || wrong.Count < records.Count
            ? null
            : MedianLoss(AnswerScores.Compute(original, prompts, wrong, cancellation: cancellation));
    }

    /// <summary>
    /// The median loss of the forget answers under the token frequencies of the retain answers: -mean log( (count + 1) / (all + distinct)
    /// ), distinct counting the tokens of both sets. A model that never learned the answers is hardly worse than that, so no higher level
    /// makes sense.
    /// </summary>
    /// <param name="forget">Tokens of the forget texts.</param>
    /// <param name="forgetAnswers">For each the position of the last prompt token; 0 for plain text.</param>
    /// <param name="retain">Tokens of the retain texts.</param>
    /// <param name="retainAnswers">For each the position of the last prompt token.</param>
    /// <exception cref="ArgumentException">No forget text.</exception>
    public static double OfTokenFrequencies(
        IReadOnlyList<int[]> forget,
        IReadOnlyList<int> forgetAnswers,
        IReadOnlyList<int[]> retain,
        IReadOnlyList<int> retainAnswers
    )
    {
        static IEnumerable<int[]> Answers(IReadOnlyList<int[]> texts, IReadOnlyList<int> ends) =>
            texts.Zip(ends, (text, end) => text.Length > end + 1 ? text[(end + 1)..] : text);
        Dictionary<int, int> counts = [];
        foreach (var token in Answers(retain, retainAnswers).SelectMany(answer => answer))
            counts[token] = counts.GetValueOrDefault(token) + 1;
        List<int[]> answers = [.. Answers(forget, forgetAnswers)];
        double all = counts.Values.Sum() + counts.Keys.Union(answers.SelectMany(answer => answer)).Count();
        return Median.Of(answers.Select(answer => answer.Average(token => Math.Log(all / (counts.GetValueOrDefault(token) + 1)))));
    }

    /// <summary>Median of the losses of the answers.</summary>
    /// <param name="scores">At least one question's scores.</param>
    public static double MedianLoss(IReadOnlyList<AnswerScores> scores) =>
        Median.Of(scores.Select(score => AnswerProbability.Loss(score.Answer)));
}
