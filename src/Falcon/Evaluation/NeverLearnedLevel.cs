using Falcon.Data;
using Falcon.Models;
using Falcon.Tokenization;

namespace Falcon.Evaluation;

/// <summary>
/// How unlikely an answer is to a model that never learned it, estimated without such a model: as unlikely as a wrong answer to the same kind of question is to the
/// original model. Below that level an answer is still known; far above it the model says that the answer is wrong, which a model that never learned would not know.
/// </summary>
public static class NeverLearnedLevel
{
    /// <summary>
    /// Each question with a wrong answer in the right one's place: its first perturbed answer or wrong choice, else the answer of the next question of the file
    /// (the last takes the first's) that differs from its own.
    /// </summary>
    /// <param name="records">Questions with answers.</param>
    /// <returns>One record for each question for which there is a wrong answer.</returns>
    public static IReadOnlyList<CorpusRecord> WithWrongAnswers(IReadOnlyList<CorpusRecord> records)
    {
        List<CorpusRecord> swapped = [];
        for (var i = 0; i < records.Count; i++)
        {
            var record = records[i];
            var wrong = AnswerScores.WrongAnswers(record).FirstOrDefault() ?? Enumerable.Range(1, records.Count - 1)
                .Select(step => records[(i + step) % records.Count].Answer).FirstOrDefault(answer => answer != record.Answer);
            if (wrong is not null) swapped.Add(new CorpusRecord(record.Question, wrong, null, record.Line));
        }

        return swapped;
    }

    /// <summary>Median over the questions of the mean loss of the wrong answer's tokens, in nats; null where there is no question with a wrong answer.</summary>
    /// <param name="original">The whole unchanged model.</param>
    /// <param name="tokenizer">Its tokenizer.</param>
    /// <param name="template">How question and answer become text.</param>
    /// <param name="records">Records of the forget set; plain texts are left out.</param>
    /// <param name="samples">Most questions that are measured, evenly spaced; 0 for all.</param>
    /// <param name="cancellation">Stops between batches.</param>
    public static double? Estimate(CausalLM original, HfTokenizer tokenizer, PromptTemplate template, IReadOnlyList<CorpusRecord> records, int samples, CancellationToken cancellation = default)
    {
        var swapped = WithWrongAnswers([.. records.Where(record => record is { Question: not null, Answer: not null })]);
        return swapped.Count == 0 ? null : MedianLoss(AnswerScores.Compute(original, tokenizer, template, QuestionMetrics.EvenlySpaced(swapped, samples), cancellation: cancellation));
    }

    /// <summary>Median of the mean token losses of the answers, in nats.</summary>
    public static double MedianLoss(IReadOnlyList<AnswerScores> scores)
    {
        double[] losses = [.. scores.Select(score => AnswerProbability.Loss(score.Answer)).Order()];
        var middle = losses.Length / 2;
        return losses.Length % 2 == 1 ? losses[middle] : (losses[middle - 1] + losses[middle]) / 2;
    }
}
