using System.Text.Json.Serialization;

namespace Falcon.Methods;

/// <summary>What a step did; one line of <c>metrics.jsonl</c>.</summary>
/// <param name="Step">The step, from 0.</param>
/// <param name="Topic">The forget domain it worked on.</param>
/// <param name="ForgetLoss">Weighted forget loss before the update.</param>
/// <param name="RetainLoss">Weighted retain loss before the update.</param>
/// <param name="Cosines">Cosine of forget and retain gradient for each trained matrix.</param>
/// <param name="Conflicts">Matrices whose gradients were in conflict.</param>
/// <param name="UpdateNorm">Euclidean norm of the whole update.</param>
/// <param name="NormRatio">
/// Mean norm of the updated forget hidden states over that of the frozen ones; null where the method uses no hidden states.
/// </param>
/// <param name="LearningRate">Learning rate of the step.</param>
/// <param name="Tokens">Real tokens in both batches.</param>
/// <param name="Seconds">Wall-clock time of the step.</param>
public sealed record StepMetrics(
    int Step,
    int Topic,
    double ForgetLoss,
    double RetainLoss,
    IReadOnlyDictionary<string, double> Cosines,
    int Conflicts,
    double UpdateNorm,
    double? NormRatio,
    double LearningRate,
    int Tokens,
    double Seconds
)
{
    /// <summary>Further numbers of the objective's terms, such as the multiplier of lossLimit; left out where there are none.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public IReadOnlyDictionary<string, double>? Measures { get; init; }

    /// <summary>Mean cosine over the trained matrices.</summary>
    public double MeanCosine => Cosines.Values.Average();
}
