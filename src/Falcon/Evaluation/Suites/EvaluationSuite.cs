using Falcon.Data;
using Falcon.Results;
using Falcon.Runtime;
using Falcon.Tokenization;

namespace Falcon.Evaluation.Suites;

/// <summary>
/// Measures a model on a set of data files. A suite belongs to one evaluation: its files are found and the settings are known when it is
/// made, and it measures one model after another. Add a suite of your own with <see cref="SuiteCatalog"/>; for one number over questions
/// with answers, <see cref="QuestionMetric"/> is less work.
/// </summary>
/// <param name="name">Name on the command line and in results.</param>
/// <param name="files">The data files. Their names and hashes decide whether numbers of an earlier evaluation may be used again.</param>
/// <param name="settings">Settings of the evaluation.</param>
public abstract class EvaluationSuite(string name, IReadOnlyList<string> files, EvaluationSettings settings)
{
    private PromptEncoder? _prompts;

    /// <summary>Extensions of files that may hold records, each with its dot.</summary>
    protected static IReadOnlyList<string> RecordExtensions { get; } = [".jsonl", ".json", ".csv", ".parquet"];

    /// <summary>Name on the command line and in results.</summary>
    public string Name { get; } = name;

    /// <summary>The data files.</summary>
    public IReadOnlyList<string> Files { get; } = files;

    /// <summary>Settings of the evaluation.</summary>
    protected EvaluationSettings Settings { get; } = settings;

    /// <summary>
    /// Whether the questions are those of a published benchmark, whose own form is plain text (<see cref="FormKind.Auto"/>).
    /// </summary>
    public virtual bool IsBenchmark => false;

    /// <summary>
    /// The settings that change the numbers of this suite, as text; prompt form and seed are not part of it. Numbers of an earlier
    /// evaluation are used again only where this text is the same.
    /// </summary>
    public abstract string SettingsText { get; }

    /// <summary>
    /// Whether a metric measures knowledge of the forget set. Such a metric is better the closer it is to that of a model that never saw
    /// the forget set, the reference.
    /// </summary>
    /// <param name="metric">Name of a metric of <see cref="Measure"/>.</param>
    public virtual bool IsOfForgetSet(string metric) => false;

    /// <summary>
    /// Metrics that need the values of single examples of this model and of a reference, such as a test of two distributions.
    /// </summary>
    /// <param name="measured">What was measured on the model; <see cref="SuiteValues.Examples"/> are in it.</param>
    /// <param name="reference">The same for the reference; null without one.</param>
    /// <param name="referenceName">Name of the reference for definitions.</param>
    /// <returns>Metrics with their names; none by default.</returns>
    public virtual IEnumerable<(string Name, MetricValue Value)> Compare(
        SuiteMeasurement measured,
        SuiteMeasurement? reference,
        string referenceName
    ) => [];

    /// <summary>
    /// The value that a metric has for a model that knows nothing of the forget set. Where the model before unlearning is no better, there
    /// was nothing to forget, and the evaluation warns.
    /// </summary>
    /// <param name="metric">Name of a metric of <see cref="Measure"/>.</param>
    /// <returns>The value; null where the metric has none.</returns>
    public virtual double? Ignorance(string metric) => null;

    /// <summary>What a reader should know about the prompts of the last measurement; one sentence each.</summary>
    internal IReadOnlyCollection<string> PromptNotes => _prompts?.Notes ?? [];

    /// <summary>The form in which a model is asked, with its tokenizer.</summary>
    /// <param name="loaded">The model.</param>
    /// <exception cref="UserInputException">The form does not fit the tokenizer.</exception>
    protected PromptEncoder PromptsOf(LoadedModel loaded)
    {
        ArgumentNullException.ThrowIfNull(loaded);
        return _prompts = new PromptEncoder(loaded.Tokenizer, Settings.FormFor(loaded.Tokenizer, IsBenchmark))
        {
            MaxTokens = loaded.Model.Config.MaxPositions,
        };
    }

    /// <summary>Measures a model. Every metric must be finite.</summary>
    /// <param name="loaded">The model; borrowed.</param>
    /// <param name="log">Where progress goes.</param>
    /// <param name="cancellation">To be checked between batches; the passes of <paramref name="loaded"/> do so.</param>
    /// <exception cref="UserInputException">A data file cannot be used.</exception>
    public abstract SuiteValues Measure(LoadedModel loaded, IRunLog log, CancellationToken cancellation);

    /// <summary>
    /// The file itself, or the files of a directory that have one of the extensions, in ordinal order. Of a directory without such files,
    /// those in its folder <c>test</c>. Of several files of one name, as <c>forget10.jsonl</c> and <c>forget10.json</c>, the one whose
    /// extension comes first is taken; <see cref="FilesLeftOut"/> names the others.
    /// </summary>
    /// <param name="path">An existing file or directory.</param>
    /// <param name="extensions">Extensions with their dots.</param>
    /// <param name="needed">What is looked for, for the message.</param>
    /// <exception cref="UserInputException">The directory has no such files.</exception>
    protected static IReadOnlyList<string> FindFiles(string path, IReadOnlyList<string> extensions, string needed)
    {
        if (File.Exists(path)) return [path];
        foreach (var folder in new[] { path, Path.Combine(path, "test") }.Where(Directory.Exists))
        {
            var found = Directory
                .EnumerateFiles(folder)
                .Where(file => extensions.Contains(Path.GetExtension(file), StringComparer.OrdinalIgnoreCase))
                .GroupBy(Path.GetFileNameWithoutExtension)
                .Select(same => same.MinBy(file => Rank(extensions, file))!)
                .Order(StringComparer.Ordinal)
                .ToList();
            if (found.Count > 0)
                return found;
        }

        throw new UserInputException(
            $"{path}: the directory holds no {needed} ({string.Join(", ", extensions)}). Name another with --data."
        );
    }

    private static int Rank(IReadOnlyList<string> extensions, string file) =>
        Enumerable.Range(0, extensions.Count).First(i => extensions[i].Equals(Path.GetExtension(file), StringComparison.OrdinalIgnoreCase));

    /// <summary>
    /// Files that have the name of a data file but another extension, in the same folder: copies in another format, or other data that
    /// should have another name. They are not read. Empty where the data file was named itself.
    /// </summary>
    internal IReadOnlyList<(string Read, string LeftOut)> FilesLeftOut() =>
        [
            .. Files
                .Where(file => Settings.Data is null || !Settings.Data.Split(',', '=').Any(part => IsSame(part.Trim(), file)))
                .SelectMany(file =>
                    RecordExtensions
                        .Append(".txt")
                        .Select(extension => Path.ChangeExtension(file, extension))
                        .Where(other => other != file && File.Exists(other))
                        .Select(other => (file, other))
                ),
        ];

    private static bool IsSame(string one, string file) => one.Length > 0 && Path.GetFullPath(one) == Path.GetFullPath(file);

    /// <summary>
    /// The usable records of each file, in the order of the files. A file without any is left out; the log says how many records are.
    /// </summary>
    /// <param name="wanted">Whether a record is usable.</param>
    /// <param name="needed">What a usable record is, such as <c>a question with an answer</c>, for messages.</param>
    /// <param name="log">Where left-out records are reported.</param>
    /// <exception cref="UserInputException">No file has a usable record.</exception>
    protected IReadOnlyList<(string File, IReadOnlyList<CorpusRecord> Records)> ReadRecords(
        Func<CorpusRecord, bool> wanted,
        string needed,
        IRunLog log
    )
    {
        List<(string, IReadOnlyList<CorpusRecord>)> sets = [];
        foreach (var file in Files)
        {
            var all = Corpus.Read(file);
            List<CorpusRecord> used = [.. all.Where(wanted)];
            if (used.Count < all.Count)
                log.Information($"{Name}: {file}: {all.Count - used.Count} of {all.Count} records are not {needed} and are left out");
            if (used.Count > 0)
                sets.Add((file, used));
        }

        return sets.Count > 0
            ? sets
            : throw new UserInputException(
                $"{string.Join(", ", Files)}: no record is {needed}, which the suite {Name} needs. Name other data with --data."
            );
    }

    /// <summary>
    /// Adds a metric over all files under its name, and where there are several files the metric of each as <c>FILE_NAME</c>.
    /// </summary>
    /// <param name="metrics">What is added to.</param>
    /// <param name="sets">The files with one value for each example.</param>
    /// <param name="name">Name of the metric.</param>
    /// <param name="metric">Computes the metric from the values of examples.</param>
    protected static void AddPerFile<T>(
        Dictionary<string, MetricValue> metrics,
        IReadOnlyList<(string File, IReadOnlyList<T> Values)> sets,
        string name,
        Func<IReadOnlyList<T>, MetricValue> metric
    )
    {
        metrics.Add(name, metric([.. sets.SelectMany(set => set.Values)]));
        if (sets.Count < 2) return;
        foreach (var (file, values) in sets) metrics.TryAdd($"{Path.GetFileNameWithoutExtension(file)}_{name}", metric(values));
    }
}

/// <summary>What a suite measured on one model.</summary>
/// <param name="Metrics">The metrics by name.</param>
public sealed record SuiteValues(IReadOnlyDictionary<string, MetricValue> Metrics)
{
    /// <summary>Values of single examples that <see cref="EvaluationSuite.Compare"/> needs, by a name of the suite's choice.</summary>
    public IReadOnlyDictionary<string, IReadOnlyList<double>> Examples { get; init; } = new Dictionary<string, IReadOnlyList<double>>();

    /// <summary>Signs that the numbers do not measure knowledge, such as the same answer to every question. One sentence each.</summary>
    public IReadOnlyList<string> Warnings { get; init; } = [];

    /// <summary>How the numbers came about where that is a choice, such as the token before each text. One sentence each.</summary>
    public IReadOnlyList<string> Notes { get; init; } = [];
}
