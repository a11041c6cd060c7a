using Falcon.Data;
using Falcon.Evaluation.Metrics;
using Falcon.Results;
using Falcon.Runtime;

namespace Falcon.Evaluation.Suites;

/// <summary>
/// Multiple choice on questions of one's own, by the likelihood of the full answers and of the letters. Records have choices, or perturbed
/// answers besides the right one, whose place among the letters is then drawn from the seed.
/// </summary>
internal sealed class MultipleChoiceSuite : EvaluationSuite
{
    private const string SuiteName = "mcq";
    private const string Needed = "multiple-choice records (question, choices, answer) or records with perturbed_answer";

    private MultipleChoiceSuite(IReadOnlyList<string> files, EvaluationSettings settings) : base(SuiteName, files, settings) { }

    private const int MostLetters = 26;

    public override string SettingsText => "by full answer and by letter";

    public static MultipleChoiceSuite Open(EvaluationSettings settings) =>
        new(FindFiles(settings.DataOf(SuiteName, Needed), RecordExtensions, "file with " + Needed), settings);

    public override SuiteValues Measure(LoadedModel loaded, IRunLog log, CancellationToken cancellation)
    {
        var sets = ReadRecords(
            record => record.Question is not null && AnswerScores.WrongAnswers(record).Any(),
            "a question with wrong answers",
            log
        );
        List<CorpusRecord> all = [.. sets.SelectMany(set => set.Records)];
        List<HarnessQuestion?> letters = [.. all.Select(WithLetters)];
        List<HarnessQuestion> asked = [.. letters.OfType<HarnessQuestion>()];
        var prompts = PromptsOf(loaded);
        var full = AnswerScores.Sequences(prompts, all);
        IReadOnlyList<ScoredSequence> sequences = [.. full, .. HarnessChoices.Sequences(asked, prompts, loaded.Model.Config.MaxPositions)];
        var tokens = loaded.Score(sequences, $"{SuiteName}, likelihoods", log, cancellation);
        var scores = AnswerScores.Of(all, tokens[..full.Count]);
        var byLetter = HarnessChoices.Judge(asked, tokens[full.Count..]);
        var (next, nextLetter) = (0, 0);
        var verdicts = sets.Select(set =>
                (
                    set.File,
                    (IReadOnlyList<Verdict>)
                        [
                            .. set.Records.Select(record =>
                                Judge(record, scores[next], letters[next++] is null ? null : byLetter[nextLetter++].Letter)
                            ),
                        ]
                )
            )
            .ToList();

        Dictionary<string, MetricValue> metrics = [];
        AddPerFile(metrics, verdicts, "acc", set =>
            Metric.Share(
                [.. set.Select(v => v.Score.Accuracy == 1)],
                Metric.Higher,
                "share of questions whose right answer has the highest log-likelihood as a full answer"
            )
        );
        AddPerFile(metrics, verdicts, "acc_norm", set =>
            Metric.Share(
                [.. set.Select(v => v.Score.AccuracyByCharacters == 1)],
                Metric.Higher,
                "the same with log-likelihoods divided by the answer's number of characters"
            )
        );
        AddPerFile(metrics, verdicts, "acc_per_token", set =>
            Metric.Share(
                [.. set.Select(v => v.FirstPerToken)],
                Metric.Higher,
                "the same with log-likelihoods divided by the answer's number of tokens; ties count as wrong"
            )
        );
        List<MultipleChoiceScore> letterScores = [.. byLetter.Select(verdict => verdict.Letter)];
        if (letterScores.Count == all.Count)
            AddPerFile(metrics, verdicts, "acc_letter", set =>
                Metric.Share(
                    [.. set.Select(v => v.Letter!.Value.Accuracy == 1)],
                    Metric.Higher,
                    "share of questions whose right letter has the highest log-likelihood after question and lettered choices (the "
                        + "harness's form, without description)"
                )
            );
        return new SuiteValues(metrics)
        {
            Warnings = [.. AnswerGuards.OfLetters(SuiteName, [.. letterScores.Select(score => score.Prediction)])],
        };
    }

    private sealed record Verdict(MultipleChoiceScore Score, bool FirstPerToken, MultipleChoiceScore? Letter);

    /// <summary>The question with lettered choices; null where there are more choices than letters.</summary>
    private HarnessQuestion? WithLetters(CorpusRecord record, int index)
    {
        List<string> choices = [.. record.PerturbedAnswers.Count > 0 ? record.PerturbedAnswers : record.Choices];
        var gold = record.CorrectChoice ?? 0;
        if (record.PerturbedAnswers.Count > 0)
        {
            gold = new SeededRandom((ulong)Settings.Questions.Seed, "place among the letters", index).Next(choices.Count + 1);
            choices.Insert(gold, record.Answer!);
        }

        if (choices.Count > MostLetters) return null;
        var question = new MultipleChoiceQuestion(record.Question!, choices, gold);
        return new HarnessQuestion(SuiteName, MultipleChoicePrompt.AskedBare(question), null, question);
    }

    /// <summary>Choices stand in their own order; the right answer comes after perturbed ones, so that a tie counts as wrong.</summary>
    private static Verdict Judge(CorpusRecord record, AnswerScores scores, MultipleChoiceScore? letter)
    {
        List<string> texts = [.. AnswerScores.WrongAnswers(record)];
        List<double> sums = [.. scores.Wrong.Select(wrong => wrong.Sum())];
        var gold = record.PerturbedAnswers.Count > 0 ? texts.Count : record.CorrectChoice!.Value;
        texts.Insert(gold, record.Answer!);
        sums.Insert(gold, scores.Answer.Sum());
        return new Verdict(MultipleChoiceScore.Of(texts, sums, gold), AnswerScores.IsFirst(scores.Answer, scores.Wrong), letter);
    }
}
