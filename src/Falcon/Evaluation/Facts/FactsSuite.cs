using System.Globalization;
using Falcon.Evaluation.Suites;
using Falcon.Models.Generation;
using Falcon.Results;
using Falcon.Runtime;

namespace Falcon.Evaluation.Facts;

/// <summary>
/// What a model knows of a subject: forced choice between whole answers and between bare ones, the probability of the right answer, and
/// greedy answers, for every file <c>*_eval*.jsonl</c> of a subject folder. Each file has its own metrics, <c>FILE.acc</c> and so on.
/// </summary>
internal sealed class FactsSuite : EvaluationSuite
{
    private const string SuiteName = "facts";
    private const string Needed = "files *_eval*.jsonl with question, options and letter";

    private FactsSuite(IReadOnlyList<string> files, EvaluationSettings settings) : base(SuiteName, files, settings) { }

    public override string SettingsText => string.Create(CultureInfo.InvariantCulture, $"answers of {Settings.FactTokens} tokens");

    // Files about what is to be forgotten; the others ask for neighbours and general knowledge.
    public override bool IsOfForgetSet(string metric) =>
        metric.StartsWith("forget", StringComparison.Ordinal) || metric.StartsWith("relearn", StringComparison.Ordinal);

    public static FactsSuite Open(EvaluationSettings settings)
    {
        var path = settings.DataOf(SuiteName, Needed);
        if (File.Exists(path)) return new FactsSuite([path], settings);
        List<string> files =
        [
            .. Directory
                .EnumerateFiles(path, "*.jsonl")
                .Where(file => Path.GetFileNameWithoutExtension(file).Contains("_eval", StringComparison.Ordinal))
                .Order(StringComparer.Ordinal),
        ];
        return files.Count > 0
            ? new FactsSuite(files, settings)
            : throw new UserInputException($"{path}: the directory holds no {Needed}. Name another with --data.");
    }

    public override SuiteValues Measure(LoadedModel loaded, IRunLog log, CancellationToken cancellation)
    {
        List<(string Name, IReadOnlyList<FactQuestion> Questions)> sets =
        [
            .. Files.Select(file => (Path.GetFileNameWithoutExtension(file), FactFile.Read(file))),
        ];
        List<FactQuestion> all = [.. sets.SelectMany(set => set.Questions)];
        var form = PromptsOf(loaded);
        List<FactPrompt> prompts = [.. all.Select(question => FactPrompt.Of(form, question))];
        var scores = SharedPrompts.ScoreAll(
            loaded,
            [.. all.Zip(prompts, Answers)],
            $"{SuiteName}, likelihoods",
            log,
            cancellation
        );
        var texts = loaded
            .Answer(
                [.. prompts.Select(prompt => prompt.Tokens)],
                new GenerationSettings(Settings.FactTokens),
                $"{SuiteName}, answers",
                log,
                cancellation
            )
            .Select(tokens => loaded.Tokenizer.Decode(tokens, skipSpecialTokens: true))
            .ToList();

        Dictionary<string, MetricValue> metrics = [];
        Dictionary<string, IReadOnlyList<double>> examples = [];
        List<string> warnings = [];
        var first = 0;
        foreach (var (name, questions) in sets)
        {
            var begin = first;
            List<FactScore> judged =
            [
                .. questions.Select((question, i) => FactScore.Of(question, scores[begin + i], IsAccepted(question, texts[begin + i]))),
            ];
            Add(metrics, examples, name, questions, judged);
            warnings.AddRange(AnswerGuards.OfTexts(name, texts[first..(first + questions.Count)]));
            first += questions.Count;
        }

        return new SuiteValues(metrics) { Examples = examples, Warnings = warnings };
    }

    // The whole answers, then the bare ones. A bare answer that continues raw text needs the space that opens the whole one.
    internal static IReadOnlyList<ScoredSequence> Answers(FactQuestion question, FactPrompt prompt) =>
        [
            .. question.Options.Select(prompt.Continued),
            .. question.BareOptions.Select(
                (bare, i) => prompt.Continued(question.IsCompletion && question.Options[i].StartsWith(' ') ? " " + bare : bare)
            ),
        ];

    private static bool? IsAccepted(FactQuestion question, string text) =>
        question.Accepted.Count == 0 ? null : AcceptedAnswer.IsIn(text, question.Accepted, question.CaseSensitive);

    private void Add(
        Dictionary<string, MetricValue> metrics,
        Dictionary<string, IReadOnlyList<double>> examples,
        string file,
        IReadOnlyList<FactQuestion> questions,
        List<FactScore> scores
    )
    {
        AddOne("acc", score => score.Chosen(score.Sums), "share of questions whose right answer has the highest log-likelihood as a whole");
        AddOne("acc_norm", score => score.Chosen(score.Means), "the same with log-likelihoods divided by the answer's number of tokens");
        AddOne(
            "bare_acc",
            score => score.BareSums.Length == 0 ? null : score.Chosen(score.BareSums),
            "share of questions whose right answer has the highest log-likelihood without a sentence around it"
        );
        AddOne(
            "bare_acc_norm",
            score => score.BareMeans.Length == 0 ? null : score.Chosen(score.BareMeans),
            "the same with log-likelihoods divided by the bare answer's number of tokens"
        );
        AddOne("probability", score => score.Probability, "mean probability of the right whole answer, exp of its summed log-likelihood");
        AddOne(
            "generation",
            score => score.Generated is { } right ? right ? 1 : 0 : null,
            string.Create(
                CultureInfo.InvariantCulture,
                $"share of greedy answers of up to {Settings.FactTokens} tokens that hold an accepted answer as whole words"
            )
        );

        void AddOne(string name, Func<FactScore, double?> value, string definition)
        {
            var measured = scores.Select(value).Zip(questions).Where(item => item.First is not null).ToList();
            if (measured.Count == 0) return;
            List<double> values = [.. measured.Select(item => item.First!.Value)];
            var over = new FactMetrics([.. measured.Select(item => item.Second.Fact)], Settings.Questions.Seed);
            metrics.Add($"{file}.{name}", name == "probability" ? over.Mean(values, definition) : over.Share(values, definition));
            examples.Add($"{file}.{name}", values);
        }
    }
}
