using System.Text.Json;
using Falcon.Data;
using Falcon.Results;
using Falcon.Runtime;

namespace Falcon.Evaluation;

/// <summary>The result file of <c>falcon evaluate</c>.</summary>
/// <param name="Metrics">Every metric by its name, as OpenUnlearning and the lm-evaluation-harness spell them.</param>
/// <param name="Model">The model that was measured.</param>
/// <param name="Reference">The model it is compared with; null without one.</param>
/// <param name="Data">The data files with their hashes.</param>
/// <param name="Form">The form in which the model was asked, as chosen; what auto is for a suite stands in its task.</param>
/// <param name="Seed">Seed of the bootstrap intervals.</param>
/// <param name="Environment">Versions, device, dtype and start.</param>
/// <param name="Seconds">Wall-clock time.</param>
/// <param name="Reused">Whether every number came from the result file that was there before.</param>
/// <param name="Measurements">What was measured on the model, a suite each.</param>
/// <param name="ReferenceMeasurements">The same on the reference; empty without one.</param>
public sealed record EvaluationResult(
    IReadOnlyDictionary<string, MetricValue> Metrics,
    EvaluatedModel Model,
    EvaluatedModel? Reference,
    IReadOnlyList<FileHash> Data,
    PromptForm Form,
    long Seed,
    EnvironmentRecord Environment,
    double Seconds,
    bool Reused,
    IReadOnlyList<SuiteMeasurement> Measurements,
    IReadOnlyList<SuiteMeasurement> ReferenceMeasurements)
{
    /// <summary>
    /// Where <see cref="Form"/> comes from: <c>auto</c>, the configuration of the run that made the model, or the command line.
    /// </summary>
    public string FormSource { get; init; } = "auto";

    /// <summary>What makes the numbers doubtful: constant or empty answers, a model like the one before, nothing to forget.</summary>
    public IReadOnlyList<string> Warnings { get; init; } = [];

    /// <summary>How the numbers came about where that is a choice, such as the token before each text of a perplexity.</summary>
    public IReadOnlyList<string> Notes => [.. Measurements.SelectMany(measurement => measurement.Notes).Distinct()];

    /// <summary>The model before unlearning; null where it was not given.</summary>
    public EvaluatedModel? Before { get; init; }

    /// <summary>What was measured on the model before unlearning; empty without one.</summary>
    public IReadOnlyList<SuiteMeasurement> BeforeMeasurements { get; init; } = [];

    /// <summary>Reads a result file.</summary>
    /// <exception cref="UserInputException">There is no such file, or it is not a result of evaluate.</exception>
    public static EvaluationResult Read(string path)
    {
        if (!File.Exists(path)) throw new UserInputException($"{path}: there is no such file; give a result file of evaluate.");
        try
        {
            var result = JsonSerializer.Deserialize<EvaluationResult>(File.ReadAllText(path), ResultJson.Options);
            return result is { Metrics: not null, Model: not null, Measurements: not null, ReferenceMeasurements: not null }
                ? result
                : throw new UserInputException(
                    $"{path}: it is no result file of evaluate (metrics, model or measurements are missing); name another file."
                );
        }
        catch (JsonException error)
        {
            throw new UserInputException(
                $"{path}: it is no result file of evaluate ({error.Path ?? "not JSON"}); name another file.",
                error
            );
        }
    }
}

/// <summary>What one suite measured on one model, with what it takes to use it again.</summary>
/// <param name="Suite">Name of the suite.</param>
/// <param name="Model">The model's files and hashes.</param>
/// <param name="Task">Data hashes, template and settings: two measurements of one task may be compared.</param>
/// <param name="Engine">Versions, device, dtype and seed.</param>
/// <param name="Metrics">The metrics.</param>
/// <param name="Examples">Values of single examples that comparisons need, such as the truth ratios of the forget set.</param>
public sealed record SuiteMeasurement(
    string Suite,
    string Model,
    string Task,
    string Engine,
    IReadOnlyDictionary<string, MetricValue> Metrics,
    IReadOnlyDictionary<string, IReadOnlyList<double>> Examples
)
{
    /// <summary>What looks wrong in the model's answers.</summary>
    public IReadOnlyList<string> Warnings { get; init; } = [];

    /// <summary>How the numbers came about where that is a choice.</summary>
    public IReadOnlyList<string> Notes { get; init; } = [];
}
