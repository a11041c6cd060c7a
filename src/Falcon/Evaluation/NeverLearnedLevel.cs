using Falcon.Data;
using Falcon.Evaluation.Metrics;
using Falcon.Models;
using Falcon.Tokenization;

namespace Falcon.Evaluation;

/// <summary>
/// How unlikely an answer is to a model that never learned it, estimated without such a model. Below that level an answer is still known;
/// far above it the model denies the answer, which a model that never learned it would not. All losses are means over an answer's tokens,
/// in nats.
/// </summary>
public static class NeverLearnedLevel
{
    /// <summary>
    /// The median loss of the first wrong answer (perturbed answer or wrong choice) in the original model: as unlikely as a wrong answer to
    /// the same question.
    /// </summary>
    /// <param name="original">The whole unchanged model.</param>
    /// <param name="tokenizer">Its tokenizer.</param>
    /// <param name="template">How question and answer become text.</param>
    /// <param name="records">Questions.</param>
    /// <param name="cancellation">Stops between batches.</param>
    /// <returns>
    /// The level; null where a question has no wrong answer. (Answers of other forget questions will not do: a model that knows them by
    /// heart finds them likely after a few tokens.)
    /// </returns>
    public static double? OfWrongAnswers(
        CausalLM original,
        HfTokenizer tokenizer,
        PromptTemplate template,
        IReadOnlyList<CorpusRecord> records,
        CancellationToken cancellation = default
    )
    {
        List<CorpusRecord> wrong =
        [
            .. records
                .Select(record =>
                    AnswerScores.WrongAnswers(record).FirstOrDefault() is { } answer
                        ? new CorpusRecord(record.Question, answer, null, record.Line)
                        : null
                )
                .OfType<CorpusRecord>(),
        ];
        return wrong.Count == 0 || wrong.Count < records.Count
            ? null
            : MedianLoss(AnswerScores.Compute(original, tokenizer, template, wrong, cancellation: cancellation));
    }

    /// <summary>
    /// The median loss of the forget answers to one who knows only how often each token stands in the retain answers: -mean log( (count +
    /// 1) / (all + distinct) ), distinct counting the tokens of both sets. A model that never learned is hardly worse than that, so this is
    /// the highest level that makes sense.
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
        return Median([.. answers.Select(answer => answer.Average(token => Math.Log(all / (counts.GetValueOrDefault(token) + 1))))]);
    }

    /// <summary>Median of the losses of the answers.</summary>
    /// <param name="scores">At least one question's scores.</param>
    public static double MedianLoss(IReadOnlyList<AnswerScores> scores) =>
        Median([.. scores.Select(score => AnswerProbability.Loss(score.Answer))]);

    private static double Median(double[] values)
    {
        if (values.Length == 0) throw new ArgumentException("a median needs at least one value", nameof(values));
        Array.Sort(values);
        var middle = values.Length / 2;
        return values.Length % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
    }
}
