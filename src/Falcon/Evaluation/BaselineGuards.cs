using Falcon.Evaluation.Suites;
using Falcon.Results;

namespace Falcon.Evaluation;

/// <summary>Warnings that a comparison with the model before unlearning, or with a reference, has no meaning.</summary>
internal static class BaselineGuards
{
    /// <summary>A warning where the weights or all metrics of two models are the same.</summary>
    /// <param name="model">The measured model.</param>
    /// <param name="other">The model it is compared with.</param>
    /// <param name="role">What the other model is, such as <c>the model before</c>.</param>
    /// <param name="measured">Metrics of the model.</param>
    /// <param name="others">Metrics of the other model; empty where only the weights are known.</param>
    public static IEnumerable<string> Unchanged(
        EvaluatedModel model,
        EvaluatedModel other,
        string role,
        IReadOnlyList<SuiteMeasurement> measured,
        IReadOnlyList<SuiteMeasurement> others
    )
    {
        if (model.Sha256 == other.Sha256)
            yield return $"{model.Path}: its weights are byte for byte those of {role} {other.Path}; nothing was unlearned";
        else if (
            others.Count > 0
            && measured
                .Zip(others)
                .All(pair =>
                    pair.First.Metrics.All(metric =>
                        pair.Second.Metrics.TryGetValue(metric.Key, out var value) && value.Value == metric.Value.Value
                    )
                )
        )
            yield return $"{model.Path}: every metric is identical to that of {role} {other.Path}, although the weights differ; the "
                + $"change has no effect on these data";
    }

    /// <summary>
    /// A warning where the model before unlearning knew nothing of the forget set, so that low values afterwards do not show forgetting.
    /// </summary>
    public static IEnumerable<string> NothingToForget(
        EvaluatedModel before,
        IReadOnlyList<EvaluationSuite> suites,
        IReadOnlyList<SuiteMeasurement> measured
    )
    {
        foreach (var (suite, values) in suites.Zip(measured))
        {
            var floors = values
                .Metrics.Select(metric => (metric.Key, metric.Value, Floor: suite.Ignorance(metric.Key)))
                .Where(item => item.Floor is not null)
                .ToList();
            if (floors.Count > 0 && floors.All(item => (item.Value.Low ?? item.Value.Value) <= item.Floor))
            {
                var shown = floors.Select(item => FormattableString.Invariant($"{item.Key} {item.Value.Value:0.###}"));
                yield return $"{before.Path}: {suite.Name}: the model before unlearning knew nothing of the forget set "
                    + $"({string.Join(", ", shown)}), so low values afterwards show no forgetting";
            }
        }
    }
}
