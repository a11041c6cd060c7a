using System.Globalization;
using System.Text.Json;
using Falcon.Checkpoints;
using Falcon.Data;
using Falcon.Evaluation;
using Falcon.Evaluation.Metrics;
using Falcon.Evaluation.Suites;
using Falcon.Models;
using Falcon.Runs.Configuration;
using Falcon.Runtime;
using Falcon.Tokenization;

namespace Falcon.Research.League;

/// <summary>
/// TOFU: forget quality against a retrained model, and model utility, both on one half of every set's questions. The test half is scored by
/// the suite itself; the development half, which is asked many times, by likelihoods alone.
/// </summary>
internal sealed class TofuLeague : LeagueSuite
{
    // The development score: so many forget questions with so many wrong answers, and so many questions of a set to keep.
    private const int ForgetQuestions = 120;
    private const int WrongAnswers = 2;
    private const int KeptQuestions = 40;
    private const int TestQuestionsToRetain = 100;

    private static readonly string[] Kept = ["retain", "real_authors", "world_facts"];

    private readonly LeagueSettings _settings;
    private readonly string _forget, _retain;
    // The same for every model, whatever lies beside it.
    private readonly PromptForm _form = new() { Kind = FormKind.Plain };
    private readonly Dictionary<LeagueSplit, double[]> _referenceRatios = [];

    public TofuLeague(LeagueSettings settings)
    {
        _settings = settings;
        foreach (
            var (option, path) in new[] { ("--model", settings.Model), ("--reference", settings.Reference), ("--data", settings.Data) }
        )
            if (!Directory.Exists(path))
                throw new UserInputException(
                    $"{option} '{path}': there is no such directory; the suite tofu needs the taught model, a retrained one and TOFU's "
                        + $"files."
                );
        if (
            !settings.ForgetSplit.StartsWith("forget", StringComparison.Ordinal)
            || !int.TryParse(settings.ForgetSplit["forget".Length..], NumberStyles.None, CultureInfo.InvariantCulture, out var percent)
            || percent is < 1 or > 99
        )
            throw new UserInputException($"--forget-split {settings.ForgetSplit}: use forget01, forget05 or forget10.");
        (_forget, _retain) = (File(settings.ForgetSplit), File(string.Create(CultureInfo.InvariantCulture, $"retain{100 - percent:00}")));
        foreach (var split in Enum.GetValues<LeagueSplit>())
            foreach (var set in Kept.Prepend(settings.ForgetSplit))
                WriteSplit(File(set + "_perturbed"), split, SplitFile(split, set), set == Kept[0] ? TestQuestionsToRetain : int.MaxValue);
    }

    public override double? RunoffFrom => 1e-3;

    public override string Measures =>
        string.Create(
            CultureInfo.InvariantCulture,
            $"forgetting is forget quality, the p-value of the KS test against the retrained model; the test half is scored as evaluate "
                + $"--suite tofu does ({TestQuestionsToRetain} retain questions, ROUGE-L on {_settings.RougeSamples} of each set), the "
                + $"development half by likelihoods alone (at most {ForgetQuestions} forget questions with {WrongAnswers} wrong answers, "
                + $"{KeptQuestions} questions of each set to keep, the share of answer tokens predicted right in place of ROUGE-L; a "
                + $"runoff: every forget question and wrong answer)"
        );

    public override UnlearnConfig Configure(LeagueEntrant entrant)
    {
        var preset = entrant.Settings();
        return preset with
        {
            Model = _settings.Model,
            Data = TextsOf(new DataSettings { Forget = [_forget], Retain = [_retain], BatchSize = 8 }, preset.Data),
        };
    }

    public override LeagueScore Score(CausalLM model, HfTokenizer tokenizer, LeagueSplit split, double? floor, RunContext context)
    {
        if (split == LeagueSplit.Test)
        {
            var values = FullScore(model, tokenizer, context);
            return Of(
                split,
                values.Examples[TofuSuite.ForgetTruthRatios],
                values.Metrics["forget_Q_A_Prob"].Value,
                values.Metrics["model_utility"].Value,
                context
            );
        }

        var utility = LightUtility(model, tokenizer, context);
        if (utility < floor) return new LeagueScore(null, null, utility);
        var scores = ForgetScores(model, tokenizer, split, context);
        return Of(split, [.. scores.Select(Ratio)], scores.Average(score => AnswerScores.Probability(score.Answer)), utility, context);
    }

    private LeagueScore Of(LeagueSplit split, IReadOnlyList<double> ratios, double answers, double utility, RunContext context)
    {
        var test = KolmogorovSmirnov.Test([.. ratios], ReferenceRatios(split, context));
        return new LeagueScore(test.PValue, answers, utility) { Distance = test.Statistic };
    }

    private double[] ReferenceRatios(LeagueSplit split, RunContext context)
    {
        if (_referenceRatios.TryGetValue(split, out var known))
            return known;
        var file = Path.Combine(
            _settings.Out,
            "reference",
            split switch
            {
                LeagueSplit.Dev => "dev.json",
                LeagueSplit.DevWhole => "dev-whole.json",
                _ => "test.json",
            }
        );
        if (!System.IO.File.Exists(file))
        {
            var (weights, model) = Checkpoint.LoadModel(_settings.Reference, TorchSharp.torch.float32, TorchSharp.torch.CPU);
            using var owned = weights;
            var tokenizer = HfTokenizer.Load(_settings.Reference);
            IReadOnlyList<double> ratios = split == LeagueSplit.Test
                ? FullScore(model, tokenizer, context).Examples[TofuSuite.ForgetTruthRatios]
                : [.. ForgetScores(model, tokenizer, split, context).Select(Ratio)];
            OutputFile.Write(file, JsonSerializer.Serialize(ratios, ResultJson.Options) + "\n");
        }

        return _referenceRatios[split] = JsonSerializer.Deserialize<double[]>(System.IO.File.ReadAllText(file), ResultJson.Options)!;
    }

    // The truth ratio needs no more than the paraphrase and the wrong answers.
    private IReadOnlyList<AnswerScores> ForgetScores(CausalLM model, HfTokenizer tokenizer, LeagueSplit split, RunContext context) =>
        Scores(
            model,
            tokenizer,
            SplitFile(LeagueSplit.Dev, _settings.ForgetSplit),
            split == LeagueSplit.DevWhole ? int.MaxValue : ForgetQuestions,
            split == LeagueSplit.DevWhole ? int.MaxValue : WrongAnswers,
            context,
            record => record.ParaphrasedAnswer is { } paraphrase ? record with { Answer = paraphrase, ParaphrasedAnswer = null } : record
        );

    private SuiteValues FullScore(CausalLM model, HfTokenizer tokenizer, RunContext context) => TofuSuite.Open(
        new EvaluationSettings(_settings.Model, ["tofu"], SplitFolder(LeagueSplit.Test), null, "")
        {
            ForgetSplit = _settings.ForgetSplit,
            Questions = new QuestionSettings(RougeSamples: _settings.RougeSamples),
            Form = _form,
        }).Measure(new LoadedModel(model, tokenizer), context.Log, context.Cancellation);

    // Harmonic mean of probability (real authors, world facts: among the options), share of right tokens and truth ratio of the three sets.
    private double LightUtility(CausalLM model, HfTokenizer tokenizer, RunContext context) =>
        ModelUtility.HarmonicMean([
            .. Kept.SelectMany(set =>
            {
                var scores = Scores(
                    model,
                    tokenizer,
                    SplitFile(LeagueSplit.Dev, set),
                    KeptQuestions,
                    set == Kept[0] ? WrongAnswers : int.MaxValue,
                    context
                );
                return new[]
                {
                    scores.Average(score =>
                        set == Kept[0]
                            ? AnswerScores.Probability(score.Answer)
                            : AnswerProbability.AmongOptions(AnswerProbability.Loss(score.Answer), Losses(score))
                    ),
                    scores.Average(score => score.AnswerHits.Average(hit => hit ? 1.0 : 0)),
                    scores.Average(score => TruthRatio.RetainScore(TruthRatioDefinition.TofuAggregate, Ratio(score))),
                };
            }),
        ]);

    private IReadOnlyList<AnswerScores> Scores(
        CausalLM model,
        HfTokenizer tokenizer,
        string file,
        int most,
        int wrongAnswers,
        RunContext context,
        Func<CorpusRecord, CorpusRecord>? change = null
    )
    {
        var records = Corpus.Read(file);
        List<CorpusRecord> asked =
        [
            .. QuestionMetrics
                .EvenlySpaced(records, Math.Min(most, records.Count))
                .Select(record => record with { PerturbedAnswers = [.. record.PerturbedAnswers.Take(wrongAnswers)] })
                .Select(record => change?.Invoke(record) ?? record),
        ];
        return AnswerScores.Compute(model, new PromptEncoder(tokenizer, _form), asked, cancellation: context.Cancellation);
    }

    private static double Ratio(AnswerScores score) =>
        TruthRatio.Ratio(TruthRatioDefinition.TofuAggregate, AnswerProbability.Loss(score.Paraphrase ?? score.Answer), Losses(score));

    private static double[] Losses(AnswerScores score) => [.. score.Wrong.Select(wrong => AnswerProbability.Loss(wrong))];

    private string SplitFile(LeagueSplit split, string set) => Path.Combine(SplitFolder(split), set + "_perturbed.jsonl");

    private string SplitFolder(LeagueSplit split) => Path.Combine(_settings.Out, "data", FolderOf(split));

    private string File(string set) => System.IO.File.Exists(Path.Combine(_settings.Data, set + ".jsonl"))
        ? Path.Combine(_settings.Data, set + ".jsonl")
        : throw new UserInputException($"{_settings.Data}: {set}.jsonl is not there; the suite tofu needs it.");
}
