using Falcon.Data;
using Falcon.Evaluation.Metrics;
using Falcon.Models;
using Falcon.Results;
using Falcon.Runtime;
using Falcon.Tokenization;

namespace Falcon.Evaluation;

/// <summary>
/// The scores of a model on the probes of a run, and its answers to the questions. Also the form of the file that keeps the scores of a
/// control model.
/// </summary>
/// <param name="Scores">One value for each probe, by its name.</param>
/// <param name="Answers">The answers, by the question.</param>
public sealed record ProbeScores(IReadOnlyDictionary<string, MetricValue> Scores, IReadOnlyDictionary<string, string> Answers)
{
    private const int AnswerTokens = 48;

    /// <summary>Measures every probe and answers every question.</summary>
    /// <param name="model">The whole model.</param>
    /// <param name="prompts">Its tokenizer and the form in which it is asked.</param>
    /// <param name="evaluation">Probes and questions.</param>
    /// <param name="fields">Names of the data fields; null for the usual ones.</param>
    /// <param name="log">Progress.</param>
    /// <param name="cancellation">Stops between batches.</param>
    /// <exception cref="UserInputException">A probe's file is missing, damaged, or does not fit its metric.</exception>
    public static ProbeScores Measure(
        CausalLM model,
        PromptEncoder prompts,
        EvaluationConfig evaluation,
        string? fields,
        IRunLog log,
        CancellationToken cancellation
    )
    {
        Dictionary<string, MetricValue> scores = [];
        foreach (var probe in evaluation.Probes)
        {
            cancellation.ThrowIfCancellationRequested();
            var records = QuestionMetrics.EvenlySpaced(Corpus.Read(probe.Data, fields), evaluation.Samples);
            scores[probe.Name] = Measure(model, prompts, probe, records, log, cancellation);
        }

        var answers =
            evaluation.Questions.Count == 0
                ? []
                : GreedyAnswers.Generate(
                    model,
                    prompts,
                    [.. evaluation.Questions.Select(question => prompts.EncodePrompt(new AskedQuestion(question.Question)))],
                    AnswerTokens,
                    cancellation: cancellation
                );
        return new ProbeScores(
            scores,
            evaluation
                .Questions.Select((question, i) => (question.Question, answers[i]))
                .DistinctBy(item => item.Question)
                .ToDictionary(item => item.Question, item => item.Item2)
        );
    }

    private static MetricValue Measure(
        CausalLM model,
        PromptEncoder prompts,
        ProbeConfig probe,
        IReadOnlyList<CorpusRecord> records,
        IRunLog log,
        CancellationToken cancellation
    )
    {
        if (probe.Metric == ProbeMetric.Perplexity)
            return TextPerplexity
                .Measure(model, prompts.Tokenizer, [.. records.Select(prompts.Form.Template.Whole)], log: log, cancellation: cancellation)
                .Token;
        if (records.FirstOrDefault(record => record.Question is null || record.Answer is null) is { } text)
            throw new UserInputException(
                $"{probe.Data}, line {text.Line}: a plain text cannot be measured by {probe.Metric}; use perplexity, or a file of "
                    + $"questions."
            );
        var value = probe.Metric switch
        {
            ProbeMetric.RougeL => QuestionMetrics.RougeL(model, prompts, records, log: log, cancellation: cancellation),
            ProbeMetric.AnswerProbability => QuestionMetrics.AnswerProbability(
                QuestionMetrics.Scores(model, prompts, records, log, cancellation: cancellation)
            ),
            _ => QuestionMetrics.MultipleChoice(
                QuestionMetrics.Scores(model, prompts, RequireWrongAnswers(probe, records), log, cancellation: cancellation)
            ),
        };
        return probe.Group == ScoreGroup.Forget ? value with { Direction = "lower" } : value;
    }

    private static IReadOnlyList<CorpusRecord> RequireWrongAnswers(ProbeConfig probe, IReadOnlyList<CorpusRecord> records) =>
        records.FirstOrDefault(record => record.PerturbedAnswers.Count == 0 && record.Choices.Count < 2) is { } bare
            ? throw new UserInputException(
                $"{probe.Data}, line {bare.Line}: multiple choice needs wrong answers (field perturbed_answer or choices)."
            )
            : records;
}
