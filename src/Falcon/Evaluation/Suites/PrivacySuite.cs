using Falcon.Data;
using Falcon.Evaluation.Membership;
using Falcon.Results;
using Falcon.Runtime;

namespace Falcon.Evaluation.Suites;

/// <summary>
/// Membership inference (loss, zlib, min-k, min-k++) between a forget file and a holdout file that no model was trained on, and privleak
/// (OpenUnlearning). Files: <c>forget</c> and <c>holdout</c>, MUSE's folder <c>privleak</c>, or TOFU's <c>forget10</c> and
/// <c>holdout10</c>.
/// </summary>
internal sealed class PrivacySuite : EvaluationSuite
{
    private const string SuiteName = "privacy";
    private const string Needed =
        "forget and holdout (.jsonl, .json, .csv, .parquet, .txt), or privleak/forget and privleak/holdout, or forgetNN and holdoutNN";

    private readonly int _forgetFiles;

    private PrivacySuite(IReadOnlyList<string> forget, IReadOnlyList<string> holdout, EvaluationSettings settings)
        : base(SuiteName, [.. forget, .. holdout], settings) => _forgetFiles = forget.Count;

    public override string SettingsText => $"{_forgetFiles} forget files";

    public override bool IsOfForgetSet(string metric) => metric.StartsWith("mia_", StringComparison.Ordinal);

    public static PrivacySuite Open(EvaluationSettings settings)
    {
        var directory = settings.DataOf(SuiteName, Needed);
        var (forget, holdout) = settings.ForgetSplit is { } split
            ? (
                PublishedFiles.First(directory, [split, $"{split}/train"]),
                PublishedFiles.First(directory, [Holdout(split), $"{Holdout(split)}/train"])
            )
            : Pair(directory);
        if (forget.Count == 0 || holdout.Count == 0)
        {
            var looked = settings.ForgetSplit is { } wanted ? $"; looked for {wanted} and {Holdout(wanted)}" : "";
            throw new UserInputException($"{directory}: a forget and a holdout file are needed ({Needed}){looked}.");
        }

        return new PrivacySuite(forget, holdout, settings);
    }

    private static (IReadOnlyList<string> Forget, IReadOnlyList<string> Holdout) Pair(string directory)
    {
        foreach (
            var (forget, holdout) in new[]
            {
                ("forget", "holdout"),
                ("privleak/forget", "privleak/holdout"),
                ("forget10", "holdout10"),
                ("forget05", "holdout05"),
                ("forget01", "holdout01"),
            }
        )
            if (
                PublishedFiles.First(directory, [forget, $"{forget}/train"]) is { Count: > 0 } one
                && PublishedFiles.First(directory, [holdout, $"{holdout}/train"]) is { Count: > 0 } other
            )
                return (one, other);
        return ([], []);
    }

    private static string Holdout(string split) => split.Replace("forget", "holdout", StringComparison.Ordinal);

    public override SuiteValues Measure(LoadedModel loaded, IRunLog log, CancellationToken cancellation)
    {
        List<CorpusRecord> forget = [.. Files.Take(_forgetFiles).SelectMany(file => Corpus.Read(file))],
            holdout = [.. Files.Skip(_forgetFiles).SelectMany(file => Corpus.Read(file))];
        var members = MembershipScores.Of(
            forget,
            holdout,
            PromptsOf(loaded),
            loaded.Model.Config.MaxPositions,
            SuiteName,
            log
        );
        var examples = members.Examples(
            loaded.Score(members.Sequences, $"{SuiteName}, likelihoods", log, cancellation, distributions: true)
        );
        return new SuiteValues(MembershipScores.Aucs(examples, Settings.Questions.Seed).ToDictionary(item => item.Name, item => item.Value))
        {
            Examples = examples,
        };
    }

    public override IEnumerable<(string Name, MetricValue Value)> Compare(
        SuiteMeasurement measured,
        SuiteMeasurement? reference,
        string referenceName
    ) => [MembershipScores.PrivacyLeakage(measured, reference, referenceName, Settings.Questions.Seed)];
}
