using System.Text.Json;
using Falcon.Models;
using Falcon.Runtime;
using Falcon.Tokenization;

namespace Falcon.Evaluation;

/// <summary>
/// Measures a model with one or more suites, compares it with a reference, and writes one result file. What the file already holds for the same model,
/// data, settings and versions is used again; another model's numbers never are, because everything is keyed by the hashes of the model's files.
/// </summary>
public static class EvaluateRun
{
    /// <summary>The suites: <c>tofu</c>, <c>mcq</c> (multiple choice by full-answer likelihood), <c>perplexity</c>, <c>qa</c> (answer probability and ROUGE-L).</summary>
    public static IReadOnlyList<string> SuiteNames { get; } = ["tofu", "mcq", "perplexity", "qa"];

    /// <summary>Runs the suites and writes <see cref="EvaluationSettings.Out"/>, whole or not at all.</summary>
    /// <param name="settings">What is measured.</param>
    /// <param name="log">Where progress goes.</param>
    /// <param name="clock">Source of times.</param>
    /// <param name="cancellation">Stops between batches; nothing is written then.</param>
    /// <returns>The result as written.</returns>
    /// <exception cref="UserInputException">Model, data, reference or the result file cannot be used.</exception>
    /// <exception cref="NumericalFailureException">A metric is not finite.</exception>
    public static EvaluationResult Execute(EvaluationSettings settings, IRunLog log, TimeProvider clock, CancellationToken cancellation = default)
    {
        var begin = clock.GetTimestamp();
        var suites = settings.Suites.Distinct().Select(name => Open(name, settings)).ToList();
        var earlier = EarlierMeasurements(settings.Out);
        var data = suites.SelectMany(suite => suite.Files).Distinct().ToDictionary(file => file, file => new FileHash(file, new FileInfo(file).Length, ContentHash.OfFile(file, cancellation)));
        var compute = ComputeOptions.Choose(settings.Device, settings.DType, ParameterCount(settings.Model));
        log.Information(compute.Reason);
        var environment = EnvironmentRecord.Capture(compute.Device.ToString(), compute.DType.ToString().ToLowerInvariant(), settings.Questions.Seed, clock);

        var session = new Session(settings, suites, data, compute, environment, earlier, log, cancellation);
        var model = EvaluatedModel.Of(settings.Model, cancellation);
        var reused = true;
        var (reference, referenceMeasured) = Reference(session, ref reused); // first, because a reference that does not fit fails at once
        var measured = Measure(model, session, out var modelReused);
        reused &= modelReused;

        var metrics = Compare(measured, referenceMeasured, reference);
        if (reused) log.Information($"{settings.Out}: the same model, data and settings were measured before; those numbers were used again");
        if (reference is null && suites.OfType<TofuSuite>().Any()) log.Information("forget_quality is left out: it needs --reference, a model that never saw the forget set (or its result file)");
        var result = new EvaluationResult(
            metrics, model, reference, [.. data.Values], settings.Template, settings.Questions.Seed, environment, clock.GetElapsedTime(begin).TotalSeconds, reused, measured, referenceMeasured);
        OutputFile.Write(settings.Out, JsonSerializer.Serialize(result, ResultJson.Options) + "\n");
        return result;
    }

    private sealed record Session(
        EvaluationSettings Settings, IReadOnlyList<EvaluationSuite> Suites, IReadOnlyDictionary<string, FileHash> Data, ComputeOptions Compute, EnvironmentRecord Environment,
        IReadOnlyList<SuiteMeasurement> Earlier, IRunLog Log, CancellationToken Cancellation)
    {
        /// <summary>What is measured: the same for every model. A file's name counts too, because its extension says how it is read and its name how metrics are called.</summary>
        public string TaskOf(EvaluationSuite suite) =>
            $"{suite.Name} [{suite.SettingsText}] on {string.Join(' ', suite.Files.Select(file => $"{Path.GetFileName(file)}:{Data[file].Sha256}"))} as {JsonSerializer.Serialize(Settings.Template, ResultJson.LineOptions)}";

        /// <summary>What else the numbers depend on.</summary>
        public string Engine => $"{Environment.Falcon} torch {Environment.LibTorch} {Environment.Device} {Environment.DType} seed {Environment.Seed}";
    }

    private static EvaluationSuite Open(string name, EvaluationSettings settings) => name switch
    {
        "tofu" => TofuSuite.Open(settings),
        "mcq" => MultipleChoiceSuite.Open(settings),
        "perplexity" => PerplexitySuite.Open(settings),
        "qa" => QuestionAnswerSuite.Open(settings),
        _ => throw new UserInputException($"--suite {name}: not known; known are {string.Join(", ", SuiteNames)}."),
    };

    /// <summary>What the result file holds from an earlier run; a file that is something else is not overwritten.</summary>
    private static List<SuiteMeasurement> EarlierMeasurements(string path)
    {
        if (Directory.Exists(path)) throw new UserInputException($"--out {path}: it is a directory; name a file to write.");
        if (!File.Exists(path)) return [];
        var result = EvaluationResult.Read(path);
        return [.. result.Measurements, .. result.ReferenceMeasurements];
    }

    private static long ParameterCount(string directory)
    {
        using var checkpoint = Checkpoint.Open(directory);
        return checkpoint.ParameterCount;
    }

    /// <summary>All suites on one model; the model is loaded only when something has to be measured.</summary>
    private static List<SuiteMeasurement> Measure(EvaluatedModel model, Session session, out bool reused)
    {
        var found = session.Suites.Select(suite => session.Earlier.FirstOrDefault(
            earlier => earlier.Suite == suite.Name && earlier.Model == model.Identity && earlier.Task == session.TaskOf(suite) && earlier.Engine == session.Engine)).ToList();
        reused = found.All(measurement => measurement is not null);
        if (reused) return [.. found.OfType<SuiteMeasurement>()];

        session.Log.Information($"measuring {model.Path}");
        var tokenizer = HfTokenizer.Load(model.Path);
        var (weights, network) = Checkpoint.LoadModel(model.Path, session.Compute.DType, session.Compute.Device);
        using var owned = weights;
        return [.. session.Suites.Zip(found, (suite, earlier) => earlier ?? Measure(suite, new LoadedModel(network, tokenizer), model, session))];
    }

    private static SuiteMeasurement Measure(EvaluationSuite suite, LoadedModel loaded, EvaluatedModel model, Session session)
    {
        var values = suite.Measure(loaded, session.Log, session.Cancellation);
        foreach (var (name, metric) in values.Metrics)
            if (!double.IsFinite(metric.Value)) throw new NumericalFailureException($"{model.Path}: {name} is not finite ({metric.Value}); the model's weights are damaged. Nothing was written.");
        return new SuiteMeasurement(suite.Name, model.Identity, session.TaskOf(suite), session.Engine, values.Metrics, values.Examples);
    }

    /// <summary>The reference's numbers: measured like the model's when it is a model directory, read when it is a result file.</summary>
    private static (EvaluatedModel? Model, IReadOnlyList<SuiteMeasurement> Measurements) Reference(Session session, ref bool reused)
    {
        if (session.Settings.Reference is not { } path) return (null, []);
        if (File.Exists(path))
        {
            var result = EvaluationResult.Read(path);
            return (result.Model, [.. session.Suites.Select(suite => result.Measurements.FirstOrDefault(measurement => measurement.Task == session.TaskOf(suite))
                ?? throw new UserInputException($"{path}: it holds no {suite.Name} result on these data with these settings; evaluate the reference with the same --data and options, or name its model directory."))]);
        }

        var model = EvaluatedModel.Of(path, session.Cancellation);
        var measured = Measure(model, session, out var referenceReused);
        reused &= referenceReused;
        return (model, measured);
    }

    /// <summary>All metrics with the reference's values; forget quality out of both models' truth ratios.</summary>
    private static Dictionary<string, MetricValue> Compare(List<SuiteMeasurement> measured, IReadOnlyList<SuiteMeasurement> reference, EvaluatedModel? referenceModel)
    {
        Dictionary<string, MetricValue> metrics = [];
        var name = referenceModel is null ? "" : Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(referenceModel.Path)));
        for (var i = 0; i < measured.Count; i++)
        {
            var other = reference.Count > 0 ? reference[i] : null;
            if (other is not null && measured[i].Examples.TryGetValue(TofuSuite.ForgetTruthRatios, out var ratios)) AddForgetQuality(metrics, ratios, other.Examples[TofuSuite.ForgetTruthRatios], name);
            foreach (var (metric, value) in measured[i].Metrics)
                metrics.TryAdd(metric, other is null ? value : value with
                {
                    Reference = other.Metrics.GetValueOrDefault(metric)?.Value,
                    Direction = measured[i].Suite == "tofu" && TofuSuite.IsOfForgetSet(metric) ? $"closer to {name}" : value.Direction,
                });
        }

        return metrics;
    }

    private static void AddForgetQuality(Dictionary<string, MetricValue> metrics, IReadOnlyList<double> ratios, IReadOnlyList<double> reference, string name)
    {
        var test = KolmogorovSmirnov.Test([.. ratios], [.. reference]);
        metrics.Add("forget_quality", new MetricValue(
            test.PValue, null, null, Metric.Higher, 1, ratios.Count, $"p-value of the two-sided two-sample Kolmogorov-Smirnov test between the truth ratios of this model and of {name} on the forget set; a p-value, so without an interval"));
        metrics.Add("forget_ks_distance", new MetricValue(
            test.Statistic, null, null, Metric.Lower, 0, ratios.Count, $"largest distance between the distributions of the truth ratios of this model and of {name} (the statistic behind forget_quality)"));
    }
}
