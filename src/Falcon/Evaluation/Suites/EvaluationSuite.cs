using Falcon.Data;
using Falcon.Results;
using Falcon.Runtime;

namespace Falcon.Evaluation.Suites;

/// <summary>What a suite measured.</summary>
/// <param name="Metrics">Metrics by name.</param>
/// <param name="Examples">Values of single examples that comparisons need.</param>
internal sealed record SuiteValues(Dictionary<string, MetricValue> Metrics, Dictionary<string, IReadOnlyList<double>> Examples)
{
    /// <summary>What looks wrong in the model's answers, such as the same answer to every question.</summary>
    public IReadOnlyList<string> Warnings { get; init; } = [];
}

/// <summary>A suite whose data files are found.</summary>
/// <param name="name">Name on the command line.</param>
/// <param name="files">The data files.</param>
/// <param name="settings">The run's settings.</param>
internal abstract class EvaluationSuite(string name, IReadOnlyList<string> files, EvaluationSettings settings)
{
    /// <summary>Files that may hold records.</summary>
    protected static readonly string[] RecordExtensions = [".jsonl", ".json", ".csv", ".parquet"];

    public string Name { get; } = name;

    public IReadOnlyList<string> Files { get; } = files;

    protected EvaluationSettings Settings { get; } = settings;

    /// <summary>The settings that change this suite's numbers, as text.</summary>
    public abstract string SettingsText { get; }

    /// <summary>
    /// Whether a metric tells what is known of the forget set, and so is better the closer it is to a model that never saw it.
    /// </summary>
    public virtual bool IsOfForgetSet(string metric) => false;

    /// <summary>Metrics that need the values of single examples of this model and of a reference (null without one).</summary>
    /// <param name="measured">The model's values.</param>
    /// <param name="reference">The reference's.</param>
    /// <param name="referenceName">What the reference is called in definitions.</param>
    public virtual IEnumerable<(string Name, MetricValue Value)> Compare(
        SuiteMeasurement measured,
        SuiteMeasurement? reference,
        string referenceName
    ) => [];

    /// <summary>
    /// The value of a metric for a model that knows nothing of the forget set, where the metric has such a value; a start model at it had
    /// nothing to forget.
    /// </summary>
    public virtual double? Ignorance(string metric) => null;

    /// <summary>Measures a model.</summary>
    public abstract SuiteValues Measure(LoadedModel loaded, IRunLog log, CancellationToken cancellation);

    /// <summary>
    /// A file itself, or the files of a directory with one of the extensions; of a directory with a folder <c>test</c> and no such files,
    /// those in it.
    /// </summary>
    /// <exception cref="UserInputException">A directory without such files.</exception>
    protected static IReadOnlyList<string> FindFiles(string path, string[] extensions, string needed)
    {
        if (File.Exists(path)) return [path];
        foreach (var folder in new[] { path, Path.Combine(path, "test") }.Where(Directory.Exists))
        {
            var found = Directory
                .EnumerateFiles(folder)
                .Where(file => extensions.Contains(Path.GetExtension(file), StringComparer.OrdinalIgnoreCase))
                .Order(StringComparer.Ordinal)
                .ToList();
            if (found.Count > 0)
                return found;
        }

        throw new UserInputException(
            $"{path}: the directory holds no {needed} ({string.Join(", ", extensions)}). Name another with --data."
        );
    }

    /// <summary>The records of each file that are of use, in the files' order; files without any are named in the log.</summary>
    /// <exception cref="UserInputException">No file has such a record.</exception>
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

    /// <summary>Adds metrics of all records, and of each file with its name before the metric's where there are several.</summary>
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
