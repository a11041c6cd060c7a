using Falcon.Data;
using Falcon.Runtime;

namespace Falcon.Evaluation;

/// <summary>Multiple choice by the likelihood of the full answers: records with choices, or with perturbed answers beside the right one.</summary>
internal sealed class MultipleChoiceSuite : EvaluationSuite
{
    private const string SuiteName = "mcq";
    private const string Needed = "multiple-choice records (question, choices, answer) or records with perturbed_answer";

    private MultipleChoiceSuite(IReadOnlyList<string> files, EvaluationSettings settings) : base(SuiteName, files, settings) { }

    public override string SettingsText => "";

    public static MultipleChoiceSuite Open(EvaluationSettings settings) => new(FindFiles(settings.DataOf(SuiteName, Needed), RecordExtensions, "file with " + Needed), settings);

    public override SuiteValues Measure(LoadedModel loaded, IRunLog log, CancellationToken cancellation)
    {
        var sets = ReadRecords(record => record.Question is not null && AnswerScores.WrongAnswers(record).Any(), "a question with wrong answers", log);
        List<CorpusRecord> all = [.. sets.SelectMany(set => set.Records)];
        var scores = QuestionMetrics.Scores(loaded.Model, loaded.Tokenizer, Settings.Template, all, log, $"{SuiteName}, likelihoods", cancellation);
        var next = 0;
        var verdicts = sets.Select(set => (set.File, (IReadOnlyList<Verdict>)[.. set.Records.Select(record => Judge(record, scores[next++]))])).ToList();

        Dictionary<string, MetricValue> metrics = [];
        AddPerFile(metrics, verdicts, "acc", set => Metric.Share([.. set.Select(v => v.Score.Accuracy == 1)], Metric.Higher, "share of questions whose right answer has the highest log-likelihood as a full answer"));
        AddPerFile(metrics, verdicts, "acc_norm", set => Metric.Share([.. set.Select(v => v.Score.AccuracyByCharacters == 1)], Metric.Higher, "the same with log-likelihoods divided by the answer's number of characters"));
        AddPerFile(metrics, verdicts, "acc_per_token", set => Metric.Share([.. set.Select(v => v.FirstPerToken)], Metric.Higher, "the same with log-likelihoods divided by the answer's number of tokens; ties count as wrong"));
        return new SuiteValues(metrics, []);
    }

    private sealed record Verdict(MultipleChoiceScore Score, bool FirstPerToken);

    /// <summary>Choices stand in their own order; the right answer comes after perturbed ones, so that a tie counts as wrong.</summary>
    private static Verdict Judge(CorpusRecord record, AnswerScores scores)
    {
        List<string> texts = [.. AnswerScores.WrongAnswers(record)];
        List<double> sums = [.. scores.Wrong.Select(wrong => wrong.Sum())];
        var gold = record.PerturbedAnswers.Count > 0 ? texts.Count : record.CorrectChoice!.Value;
        texts.Insert(gold, record.Answer!);
        sums.Insert(gold, scores.Answer.Sum());
        return new Verdict(MultipleChoiceScore.Of(texts, sums, gold), AnswerScores.IsFirst(scores.Answer, scores.Wrong));
    }
}
