using System.Globalization;
using Falcon.Data;
using Falcon.Evaluation.Metrics;
using Falcon.Results;
using Falcon.Runtime;

namespace Falcon.Evaluation.Suites;

/// <summary>
/// MMLU (Hendrycks et al. 2021) as the lm-evaluation-harness scores it: 57 subjects, four groups, and all questions together, each as the
/// mean over its questions. Read as the hub lays it out (<c>SUBJECT/test-00000-of-00001.parquet</c>), or as the first release does
/// (<c>test/SUBJECT_test.csv</c>, <c>dev/SUBJECT_dev.csv</c>).
/// </summary>
internal sealed class MmluSuite : EvaluationSuite
{
    private const string SuiteName = "mmlu";
    private const string Needed = "SUBJECT/test-*.parquet, or test/SUBJECT_test.csv and dev/SUBJECT_dev.csv";

    private readonly IReadOnlyList<Subject> _subjects;

    private MmluSuite(IReadOnlyList<Subject> subjects, EvaluationSettings settings)
        : base(SuiteName, [.. subjects.SelectMany(subject => subject.Test.Concat(subject.Dev))], settings) => _subjects = subjects;

    private sealed record Subject(string Name, IReadOnlyList<string> Test, IReadOnlyList<string> Dev);

    public override bool IsBenchmark => true;

    public override string SettingsText =>
        string.Create(
            CultureInfo.InvariantCulture,
            $"{Settings.Shots} shots, full answers {Settings.FullAnswers}, subjects "
                + $"{string.Join(' ', _subjects.Select(subject => $"{subject.Name}:{subject.Test.Count}:{subject.Dev.Count}"))}"
        );

    public static MmluSuite Open(EvaluationSettings settings)
    {
        var directory = settings.DataOf(SuiteName, Needed);
        if (!Directory.Exists(directory))
            throw new UserInputException($"{directory}: the suite {SuiteName} needs a directory with {Needed}.");
        List<Subject> subjects = [];
        foreach (var name in MmluSubjects.All)
        {
            var test = PublishedFiles.Split(directory, name, "test");
            if (test.Count == 0) continue;
            var dev = settings.Shots == 0 ? [] : PublishedFiles.Split(directory, name, "dev");
            if (settings.Shots > 0 && dev.Count == 0)
                throw new UserInputException(
                    $"{directory}: the development split of {name} is not there, from which the {settings.Shots} shots are taken; add it "
                        + $"or leave --shots out."
                );
            subjects.Add(new Subject(name, test, dev));
        }

        return subjects.Count > 0
            ? new MmluSuite(subjects, settings)
            : throw new UserInputException($"{directory}: none of the 57 subjects is there; the suite {SuiteName} looks for {Needed}.");
    }

    public override SuiteValues Measure(LoadedModel loaded, IRunLog log, CancellationToken cancellation)
    {
        if (_subjects.Count < MmluSubjects.All.Count)
            log.Information(
                $"{SuiteName}: {_subjects.Count} of {MmluSubjects.All.Count} subjects are there; mmlu_acc and its groups are over those "
                    + $"alone"
            );
        List<HarnessQuestion> questions = [];
        foreach (var subject in _subjects)
        {
            List<MultipleChoiceQuestion> shots = [.. subject.Dev.SelectMany(LetterQuestions.Read).Take(Settings.Shots)];
            if (shots.Count < Settings.Shots)
                throw new UserInputException(
                    $"{string.Join(", ", subject.Dev)}: {shots.Count} questions are there, but {Settings.Shots} shots are asked for; "
                        + $"lower --shots."
                );
            questions.AddRange(
                subject
                    .Test.SelectMany(LetterQuestions.Read)
                    .Select(question => new HarnessQuestion(
                        subject.Name,
                        MultipleChoicePrompt.AskedMmlu(subject.Name, question, shots),
                        Settings.FullAnswers
                            ? MultipleChoicePrompt.AskedContinuation(subject.Name.Replace('_', ' '), question, shots)
                            : null,
                        question
                    ))
            );
        }

        var verdicts = HarnessChoices.Judge(questions, loaded, PromptsOf(loaded), $"{SuiteName}, likelihoods", log, cancellation);
        Dictionary<string, MetricValue> metrics = [];
        var how = string.Create(CultureInfo.InvariantCulture, $"{Settings.Shots} shots");
        HarnessChoices.AddMetrics(metrics, SuiteName, [.. verdicts], Metric.Higher, how + "; mean over all questions");
        foreach (var (group, subjects) in MmluSubjects.Groups)
            if (verdicts.Where(verdict => subjects.Contains(verdict.Task)).ToList() is { Count: > 0 } ofGroup)
                HarnessChoices.AddMetrics(
                    metrics,
                    $"{SuiteName}_{group}",
                    ofGroup,
                    Metric.Higher,
                    how + "; mean over the group's questions"
                );
        foreach (var subject in _subjects)
            HarnessChoices.AddMetrics(
                metrics,
                $"{SuiteName}_{subject.Name}",
                [.. verdicts.Where(verdict => verdict.Task == subject.Name)],
                Metric.Higher,
                how
            );
        return new SuiteValues(metrics)
        {
            Warnings = [.. AnswerGuards.OfLetters(SuiteName, [.. verdicts.Select(verdict => verdict.Letter.Prediction)])],
        };
    }
}
