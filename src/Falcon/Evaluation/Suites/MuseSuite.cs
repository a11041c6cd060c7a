using System.Globalization;
using Falcon.Data;
using Falcon.Evaluation.Membership;
using Falcon.Evaluation.Metrics;
using Falcon.Models.Generation;
using Falcon.Results;
using Falcon.Runtime;
using Falcon.Tokenization;

namespace Falcon.Evaluation.Suites;

/// <summary>
/// MUSE (Shi et al. 2024), News or Books: verbatim memorisation (VerbMem), knowledge memorisation on forget and retain questions (KnowMem;
/// the latter is the utility), PrivLeak with the membership attacks it rests on. Directory as published: <c>verbmem/forget</c>,
/// <c>knowmem/forget_qa</c> and <c>retain_qa</c> with <c>..._icl</c> shots, <c>privleak/forget</c> and <c>holdout</c>. The log names parts
/// that are missing; they are left out.
/// </summary>
internal sealed class MuseSuite : EvaluationSuite
{
    private const string SuiteName = "muse";
    private const string Needed =
        "verbmem/forget, knowmem/forget_qa, knowmem/retain_qa, privleak/forget and privleak/holdout (.json, .jsonl, or .parquet as on the "
            + "hub)";
    private const int VerbatimTokens = 128;
    private const int KnowledgeTokens = 32;
    private const string VerbatimFields = "prompt=prompt,completion=gt";

    private readonly IReadOnlyDictionary<string, IReadOnlyList<string>> _parts;

    private MuseSuite(IReadOnlyDictionary<string, IReadOnlyList<string>> parts, EvaluationSettings settings)
        : base(SuiteName, [.. parts.Values.SelectMany(files => files)], settings) => _parts = parts;

    public override bool IsBenchmark => true;

    public override string SettingsText =>
        string.Join(' ', _parts.Select(part => string.Create(CultureInfo.InvariantCulture, $"{part.Key}:{part.Value.Count}")))
        + string.Create(CultureInfo.InvariantCulture, $" rouge {Settings.Questions.RougeSamples}");

    public override bool IsOfForgetSet(string metric) =>
        metric.StartsWith("forget_", StringComparison.Ordinal)
        || metric.StartsWith("mia_", StringComparison.Ordinal)
        || metric is "extraction_strength" or "exact_memorization";

    public override double? Ignorance(string metric) => metric is "forget_verbmem_ROUGE" or "forget_knowmem_ROUGE" ? 0.1 : null;

    public static MuseSuite Open(EvaluationSettings settings)
    {
        var directory = settings.DataOf(SuiteName, Needed);
        if (!Directory.Exists(directory))
            throw new UserInputException($"{directory}: the suite {SuiteName} needs a directory with {Needed}.");
        Dictionary<string, IReadOnlyList<string>> parts = [];
        void Add(string part, params string[] stems)
        {
            if (PublishedFiles.First(directory, stems) is { Count: > 0 } files) parts.Add(part, files);
        }

        Add("verbmem", "verbmem/forget");
        Add("forget_qa", "knowmem/forget_qa");
        Add("forget_qa_icl", "knowmem/forget_qa_icl");
        Add("retain_qa", "knowmem/retain_qa", "knowmem/retain2_qa");
        Add("retain_qa_icl", "knowmem/retain_qa_icl", "knowmem/retain2_qa_icl");
        Add("privleak_forget", "privleak/forget");
        Add("privleak_holdout", "privleak/holdout");
        if (parts.ContainsKey("privleak_forget") != parts.ContainsKey("privleak_holdout"))
            throw new UserInputException($"{directory}: privleak needs both forget and holdout; add the missing one.");
        return parts.Count > 0
            ? new MuseSuite(parts, settings)
            : throw new UserInputException($"{directory}: nothing of MUSE is there; the suite {SuiteName} needs {Needed}.");
    }

    public override SuiteValues Measure(LoadedModel loaded, IRunLog log, CancellationToken cancellation)
    {
        foreach (var part in new[] { "verbmem", "forget_qa", "retain_qa", "privleak_forget" })
            if (!_parts.ContainsKey(part)) log.Information($"{SuiteName}: {part} is not there and left out");
        Dictionary<string, MetricValue> metrics = [];
        List<string> warnings = [];
        var prompts = PromptsOf(loaded);
        Generate(
            "forget_verbmem_ROUGE",
            Verbatim(prompts),
            VerbatimTokens,
            Metric.Lower,
            "of the greedy continuation of up to 128 tokens against the first 128 tokens of the true one",
            loaded,
            metrics,
            warnings,
            log,
            cancellation
        );
        Generate(
            "forget_knowmem_ROUGE",
            Knowledge("forget_qa", prompts),
            KnowledgeTokens,
            Metric.Lower,
            "of the greedy answer of up to 32 tokens, cut before the next question",
            loaded,
            metrics,
            warnings,
            log,
            cancellation
        );
        Generate(
            "retain_knowmem_ROUGE",
            Knowledge("retain_qa", prompts),
            KnowledgeTokens,
            Metric.Higher,
            "of the greedy answer of up to 32 tokens, cut before the next question (MUSE's utility)",
            loaded,
            metrics,
            warnings,
            log,
            cancellation
        );
        var examples = Likelihoods(loaded, prompts, metrics, log, cancellation);
        return new SuiteValues(metrics) { Examples = examples, Warnings = warnings };
    }

    public override IEnumerable<(string Name, MetricValue Value)> Compare(
        SuiteMeasurement measured,
        SuiteMeasurement? reference,
        string referenceName
    ) =>
        _parts.ContainsKey("privleak_forget")
            ? [MembershipScores.PrivacyLeakage(measured, reference, referenceName, Settings.Questions.Seed)]
            : [];

    private IEnumerable<CorpusRecord> Records(string part, string? fields = null) =>
        _parts.TryGetValue(part, out var files) ? files.SelectMany(file => Corpus.Read(file, fields)) : [];

    /// <summary>Prompts and true continuations of VerbMem, the latter cut to the length of what the model generates.</summary>
    private List<(int[] Prompt, string Truth)> Verbatim(PromptEncoder prompts) =>
        [
            .. Records("verbmem", VerbatimFields)
                .Select(record =>
                    (
                        prompts.EncodePromptText(record.Question!, isRendered: false),
                        Truth: prompts.Tokenizer.Decode(
                            [.. prompts.Tokenizer.Encode(record.Answer!).Take(VerbatimTokens)],
                            skipSpecialTokens: true
                        )
                    )
                ),
        ];

    /// <summary>
    /// Prompts and true answers of KnowMem: the solved questions of the icl split, two newlines after each, before the question.
    /// </summary>
    private List<(int[] Prompt, string Truth)> Knowledge(string part, PromptEncoder prompts)
    {
        List<CorpusRecord> shots = [.. Records(part + "_icl")];
        return
        [
            .. Records(part)
                .Select(record =>
                    record is { Question: not null, Answer: { } answer }
                        ? (prompts.EncodePrompt(new AskedQuestion(record.Question) { Examples = shots }), answer)
                        : throw new UserInputException(
                            $"{string.Join(", ", _parts[part])}, line {record.Line}: a question with an answer is needed; take the "
                                + $"published file."
                        )
                ),
        ];
    }

    private void Generate(
        string metric,
        List<(int[] Prompt, string Truth)> items,
        int tokens,
        string direction,
        string how,
        LoadedModel loaded,
        Dictionary<string, MetricValue> metrics,
        List<string> warnings,
        IRunLog log,
        CancellationToken cancellation
    )
    {
        if (items.Count == 0) return;
        var asked = QuestionMetrics.EvenlySpaced(items, Settings.Questions.RougeSamples);
        var texts = loaded
            .Answer(
                [.. asked.Select(item => item.Prompt)],
                new GenerationSettings(tokens),
                $"{SuiteName} {metric}, answers",
                log,
                cancellation
            )
            .Select(answer => loaded.Tokenizer.Decode(answer, skipSpecialTokens: true))
            .Select(text => tokens == KnowledgeTokens ? GenerationTrimming.CutAtEach(text, GenerationTrimming.MuseStopWords) : text)
            .ToList();
        var values = asked.Zip(texts, (item, text) => Rouge.LongestCommonSubsequence(item.Truth, text, stem: false).F1).ToList();
        metrics.Add(
            metric,
            Metric.Mean(
                values,
                direction,
                Settings.Questions.Seed,
                $"mean ROUGE-L F1 (unstemmed, 0 to 1; MUSE prints it times 100) {how}, over "
                    + $"{(asked.Count < items.Count ? $"{asked.Count} evenly spaced of {items.Count}" : "all")} items"
            )
        );
        warnings.AddRange(AnswerGuards.OfTexts($"{SuiteName} {metric}", [.. texts.Select(text => text.Trim())]));
    }

    /// <summary>Extraction strength and exact memorisation on VerbMem, and the membership attacks: one pass.</summary>
    private Dictionary<string, IReadOnlyList<double>> Likelihoods(
        LoadedModel loaded,
        PromptEncoder prompts,
        Dictionary<string, MetricValue> metrics,
        IRunLog log,
        CancellationToken cancellation
    )
    {
        var limit = loaded.Model.Config.MaxPositions;
        List<ScoredSequence> verbatim =
        [
            .. Records("verbmem", VerbatimFields)
                .Select(record => HarnessChoices.Sequence(loaded.Tokenizer, record.Question!, record.Answer!, limit)),
        ];
        var members = MembershipScores.Of(
            [.. Records("privleak_forget")],
            [.. Records("privleak_holdout")],
            prompts,
            limit,
            SuiteName,
            log
        );
        IReadOnlyList<ScoredSequence> all = [.. members.Sequences, .. verbatim];
        if (all.Count == 0) return [];
        var scores = loaded.Score(all, $"{SuiteName}, likelihoods", log, cancellation, distributions: members.Sequences.Count > 0);
        if (verbatim.Count > 0)
            MemorizationSuite.AddMetrics(
                metrics,
                [.. scores.Skip(members.Sequences.Count).Select(score => score.Hits)],
                Settings.Questions.Seed
            );
        if (members.Sequences.Count == 0)
            return [];
        var examples = members.Examples(scores[..members.Sequences.Count]);
        foreach (var (name, value) in MembershipScores.Aucs(examples, Settings.Questions.Seed)) metrics.Add(name, value);
        return examples;
    }
}
