using System.Text.Json;
using Falcon.Checkpoints;
using Falcon.Evaluation;
using Falcon.Evaluation.Suites;
using Falcon.Results;
using Falcon.Runtime;
using Falcon.Runtime.Machine;
using Falcon.Tokenization;

namespace Falcon.Runs.Evaluating;

/// <summary>
/// Measures a model with one or more suites, compares it with a reference, and writes one result file. Numbers that the file already holds
/// for the same model, data, settings and versions are used again. Everything is keyed by the hashes of the model's files, so numbers of
/// another model never are.
/// </summary>
public static class EvaluateRun
{
    /// <summary>The names of the suites (<see cref="SuiteCatalog.Names"/>).</summary>
    public static IReadOnlyList<string> SuiteNames => SuiteCatalog.Names;

    /// <summary>
    /// Runs the suites and writes <see cref="EvaluationSettings.Out"/>, whole or not at all. An interrupted evaluation leaves its scored
    /// examples beside that file and continues from them.
    /// </summary>
    /// <param name="settings">What is measured.</param>
    /// <param name="log">Where progress goes.</param>
    /// <param name="clock">Source of times.</param>
    /// <param name="cancellation">Stops between batches; no result is written then.</param>
    /// <returns>The result as written.</returns>
    /// <exception cref="UserInputException">Model, data, reference or the result file cannot be used.</exception>
    /// <exception cref="NumericalFailureException">A metric is not finite.</exception>
    public static EvaluationResult Execute(
        EvaluationSettings settings,
        IRunLog log,
        TimeProvider clock,
        CancellationToken cancellation = default
    )
    {
        var begin = clock.GetTimestamp();
        var run = RunForm.Of(settings.Model);
        settings = EvaluationForm.Chosen(settings, run, clock);
        var suites = settings.Suites.Distinct().Select(name => SuiteCatalog.Open(name, settings)).ToList();
        foreach (var (read, leftOut) in suites.SelectMany(suite => suite.FilesLeftOut()).Distinct())
            log.Warning($"{leftOut}: not read, because {Path.GetFileName(read)} has the same name and is read instead");
        var earlier = EarlierMeasurements(settings.Out);
        var data = suites
            .SelectMany(suite => suite.Files)
            .Distinct()
            .ToDictionary(file => file, file => new FileHash(file, FileSize.Of(file), ContentHash.OfFile(file, cancellation)));
        var compute = ComputeOptions.Choose(settings.Device, settings.DType, Stored(settings.Model), settings.MemoryLimit);
        log.Information(compute.Reason);
        log.Information($"prompt form: {EvaluationForm.Describe(settings, suites)} ({settings.FormSource})");
        var environment = EnvironmentRecord.Capture(compute, settings.Questions.Seed, clock) with
        {
            DType = compute.DType.ToString().ToLowerInvariant(),
        };

        using var examples = ExampleLog.Open(settings.Out);
        if (examples.Found > 0)
            log.Information(
                $"an interrupted evaluation left {examples.Found} scored examples in {settings.Out}{ExampleLog.Suffix}; those of the same "
                    + $"model, data and settings are used again"
            );
        var session = new Session(settings, suites, data, compute, environment, earlier, examples, log, cancellation);
        var model = EvaluatedModel.Of(settings.Model, cancellation);
        var reused = true;
        // The reference comes first: if it does not fit, the run fails before anything is measured.
        var (reference, referenceMeasured) = Other(settings.Reference, session, ref reused);
        var (before, beforeMeasured) = Other(settings.Before, session, ref reused);
        var measured = Measure(model, session, out var modelReused);
        reused &= modelReused;

        var metrics = Compare(suites, measured, referenceMeasured, reference);
        if (reused)
            log.Information($"{settings.Out}: the same model, data and settings were measured before; those numbers were used again");
        if (examples.Used > 0)
            log.Information($"{examples.Used} scored examples of the interrupted evaluation were used");
        if (reference is null && suites.OfType<TofuSuite>().Any())
            log.Information("forget_quality is left out: it needs --reference, a model that never saw the forget set (or its result file)");
        List<string> warnings = [.. measured.SelectMany(measurement => measurement.Warnings)];
        if (reference is not null)
            warnings.AddRange(BaselineGuards.Unchanged(model, reference, "the reference", measured, referenceMeasured));
        if (before is not null)
            warnings.AddRange(
                BaselineGuards
                    .Unchanged(model, before, "the model before", measured, beforeMeasured)
                    .Concat(BaselineGuards.NothingToForget(before, suites, beforeMeasured))
            );
        else if (run?.StartModel is { } start && Directory.Exists(start))
            warnings.AddRange(BaselineGuards.Unchanged(model, EvaluatedModel.Of(start, cancellation), "the model before", measured, []));
        foreach (var warning in warnings)
            log.Warning(warning);

        var result = new EvaluationResult(
            metrics,
            model,
            reference,
            [.. data.Values],
            settings.Form!,
            settings.Questions.Seed,
            environment,
            clock.GetElapsedTime(begin).TotalSeconds,
            reused,
            measured,
            referenceMeasured
        )
        {
            FormSource = settings.FormSource!,
            Warnings = warnings,
            Before = before,
            BeforeMeasurements = beforeMeasured,
        };
        OutputFile.Write(settings.Out, JsonSerializer.Serialize(result, ResultJson.Options) + "\n");
        examples.Delete();
        return result;
    }

    private sealed record Session(
        EvaluationSettings Settings,
        IReadOnlyList<EvaluationSuite> Suites,
        IReadOnlyDictionary<string, FileHash> Data,
        ComputeOptions Compute,
        EnvironmentRecord Environment,
        IReadOnlyList<SuiteMeasurement> Earlier,
        ExampleLog Examples,
        IRunLog Log,
        CancellationToken Cancellation
    )
    {
        /// <summary>
        /// What is measured, the same for every model. The names of the files count too: the extension says how a file is read, the name
        /// goes into the names of metrics.
        /// </summary>
        public string TaskOf(EvaluationSuite suite) =>
            $"{suite.Name} [{suite.SettingsText}{OutsideCode.IdentityOf(suite)}] on "
                + $"{string.Join(' ', suite.Files.Select(file => $"{Path.GetFileName(file)}:{Data[file].Sha256}"))} as "
                + $"{JsonSerializer.Serialize(Settings.FormOf(suite.IsBenchmark), ResultJson.LineOptions)}";

        /// <summary>What else the numbers depend on.</summary>
        public string Engine =>
            $"{Environment.Falcon} torch {Environment.LibTorch} {Environment.Device} {Environment.DType} seed {Environment.Seed}";
    }

    /// <summary>
    /// The measurements that the result file holds from an earlier run. A file that is no such result is not overwritten.
    /// </summary>
    private static List<SuiteMeasurement> EarlierMeasurements(string path)
    {
        if (Directory.Exists(path)) throw new UserInputException($"--out {path}: it is a directory; name a file to write.");
        if (!File.Exists(path)) return [];
        var result = EvaluationResult.Read(path);
        return [.. result.Measurements, .. result.ReferenceMeasurements, .. result.BeforeMeasurements];
    }

    private static StoredWeights Stored(string directory)
    {
        using var checkpoint = Checkpoint.Open(directory);
        return checkpoint.Stored;
    }

    /// <summary>All suites on one model; the model is loaded only when something has to be measured.</summary>
    private static List<SuiteMeasurement> Measure(EvaluatedModel model, Session session, out bool reused)
    {
        var found = session
            .Suites.Select(suite =>
                session.Earlier.FirstOrDefault(earlier =>
                    earlier.Suite == suite.Name
                    && earlier.Model == model.Identity
                    && earlier.Task == session.TaskOf(suite)
                    && earlier.Engine == session.Engine
                )
            )
            .ToList();
        reused = found.All(measurement => measurement is not null);
        if (reused) return [.. found.OfType<SuiteMeasurement>()];

        session.Log.Information($"measuring {model.Path}");
        using var checkpoint = Checkpoint.Open(model.Directory);
        var tokenizer = TokenizerFiles.AreIn(model.Directory) ? HfTokenizer.Load(model.Directory) : null; // token ids need none
        checkpoint.TellNotes(session.Log, tokenizer);
        using var opened = OpenedModel.Open(checkpoint, session.Compute, session.Settings.MemoryLimit, session.Log);
        using var freed = FreedMemory.ReturnAbove(opened.ReturnAbove);
        var loaded = tokenizer is null ? LoadedModel.WithoutTokenizer(opened.Model, model.Path) : new LoadedModel(opened.Model, tokenizer);
        return
        [
            .. session.Suites.Zip(found, (suite, earlier) =>
                earlier
                ?? Measure(
                    suite,
                    loaded with
                    {
                        Log = session.Examples,
                        Scope = $"{model.Identity}\n{session.TaskOf(suite)}\n{session.Engine}",
                    },
                    model,
                    session
                )
            ),
        ];
    }

    private static SuiteMeasurement Measure(EvaluationSuite suite, LoadedModel loaded, EvaluatedModel model, Session session)
    {
        var values = suite.Measure(loaded, session.Log, session.Cancellation);
        foreach (var note in suite.PromptNotes) session.Log.Information($"{suite.Name}: {note}");
        foreach (var (name, metric) in values.Metrics)
            if (!double.IsFinite(metric.Value))
                throw new NumericalFailureException(
                    $"{model.Path}: {name} is {metric.Value}, which is no result: the metric has no value for these answers, or the "
                        + "model's weights are damaged."
                );
        return new SuiteMeasurement(suite.Name, model.Identity, session.TaskOf(suite), session.Engine, values.Metrics, values.Examples)
        {
            Warnings = values.Warnings,
            Notes = values.Notes,
        };
    }

    /// <summary>
    /// The measurements of the reference or of the model before unlearning: read from a result file, or measured for a model directory.
    /// </summary>
    private static (EvaluatedModel? Model, IReadOnlyList<SuiteMeasurement> Measurements) Other(
        string? path,
        Session session,
        ref bool reused
    )
    {
        if (path is null) return (null, []);
        if (File.Exists(path))
        {
            var result = EvaluationResult.Read(path);
            return (
                result.Model,
                [
                    .. session.Suites.Select(suite =>
                        result.Measurements.FirstOrDefault(measurement => measurement.Task == session.TaskOf(suite))
                        ?? throw new UserInputException(
                            $"{path}: it holds no {suite.Name} result on these data with these settings and this prompt form; "
                                + $"evaluate that model with the same --data and options, or name its model directory."
                        )
                    ),
                ]
            );
        }

        var model = EvaluatedModel.Of(path, session.Cancellation);
        if (RunForm.Of(path)?.Form is { } other && session.Suites.Any(suite => session.Settings.IsOther(other, suite.IsBenchmark)))
            session.Log.Warning(
                $"{path}: its run used another prompt form than the one in use here ({session.Settings.FormSource}); its numbers are those "
                    + $"of a model asked in an unusual way"
            );
        var measured = Measure(model, session, out var allReused);
        reused &= allReused;
        return (model, measured);
    }

    /// <summary>
    /// All metrics with the values of the reference, those that need single examples first. Where two suites have a metric of one name, the
    /// second carries the name of its suite.
    /// </summary>
    private static Dictionary<string, MetricValue> Compare(
        List<EvaluationSuite> suites,
        List<SuiteMeasurement> measured,
        IReadOnlyList<SuiteMeasurement> reference,
        EvaluatedModel? referenceModel
    )
    {
        Dictionary<string, MetricValue> metrics = [];
        var name = referenceModel is null ? "" : Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(referenceModel.Path)));
        for (var i = 0; i < measured.Count; i++)
        {
            var (suite, other) = (suites[i], reference.Count > 0 ? reference[i] : null);
            void Add(string metric, MetricValue value)
            {
                if (!metrics.TryAdd(metric, value)) metrics[$"{suite.Name}_{metric}"] = value;
            }

            foreach (var (metric, value) in suite.Compare(measured[i], other, name)) Add(metric, value);
            foreach (var (metric, value) in measured[i].Metrics)
                Add(metric, other is null ? value : value with
                {
                    Reference = other.Metrics.GetValueOrDefault(metric)?.Value,
                    Direction = suite.IsOfForgetSet(metric) ? $"closer to {name}" : value.Direction,
                });
        }

        return metrics;
    }
}
