using Falcon.Evaluation;
using Falcon.Evaluation.Metrics;
using Falcon.Exchange.Adapters;
using Falcon.Results;
using Falcon.Runs.Evaluating;
using Falcon.Runtime;

namespace Falcon.Exchange;

/// <summary>How the effect of an adapter is measured.</summary>
/// <param name="Suites">Names from <see cref="EvaluateRun.SuiteNames"/>.</param>
/// <param name="Data">As in <see cref="EvaluationSettings.Data"/>.</param>
public sealed record AdapterEvaluation(IReadOnlyList<string> Suites, string? Data)
{
    /// <summary>As in <see cref="EvaluationSettings.ForgetSplit"/>.</summary>
    public string? ForgetSplit { get; init; }

    /// <summary>As in <see cref="QuestionSettings.RougeSamples"/>.</summary>
    public int RougeSamples { get; init; } = new QuestionSettings().RougeSamples;
}

/// <summary>A metric of the three models.</summary>
/// <param name="Metric">Its name.</param>
/// <param name="Base">The base model.</param>
/// <param name="Model">The unlearned model.</param>
/// <param name="Adapter">The base model with the adapter merged into it and rounded to the stored dtype.</param>
public sealed record AdapterScore(string Metric, MetricValue Base, MetricValue Model, MetricValue Adapter);

/// <summary>Merges an adapter and measures the three models with the same suites, data and prompt template.</summary>
internal static class AdapterScores
{
    public static (List<AdapterScore> Scores, IReadOnlyList<string> Notes) Measure(
        string baseDirectory,
        string modelDirectory,
        string adapterDirectory,
        AdapterEvaluation evaluation,
        RunContext context
    )
    {
        var work = Directory.CreateTempSubdirectory("falcon-adapter-").FullName;
        try
        {
            var merged = Path.Combine(work, "merged");
            AdapterMerge.Execute(baseDirectory, adapterDirectory, merged, "auto", context);
            var run = RunForm.Of(modelDirectory);
            EvaluationResult Of(string model, string name) => EvaluateRun.Execute(
                new EvaluationSettings(model, evaluation.Suites, evaluation.Data, null, Path.Combine(work, name + ".json"))
                {
                    ForgetSplit = evaluation.ForgetSplit,
                    Questions = new QuestionSettings { RougeSamples = evaluation.RougeSamples },
                    Form = run?.Form,
                    FormSource = run?.ConfigPath,
                    Device = context.Device,
                    DType = context.DType,
                    MemoryLimit = context.MemoryLimit,
                },
                context.Log, context.Clock, context.Cancellation);
            var (before, after, adapted) = (Of(baseDirectory, "base"), Of(modelDirectory, "model"), Of(merged, "adapter"));
            return (
                [
                    .. before.Metrics.Keys.Select(metric => new AdapterScore(
                        metric,
                        before.Metrics[metric],
                        after.Metrics[metric],
                        adapted.Metrics[metric]
                    )),
                ],
                before.Notes
            );
        }
        finally
        {
            Directory.Delete(work, recursive: true);
        }
    }
}
