using System.Text.Json.Serialization;

namespace Falcon.Results;

/// <summary>One measured number with its interval, direction and reference. Every number in a result file has this form.</summary>
/// <param name="Value">The estimate.</param>
/// <param name="Low">Lower end of the 95 % interval; null where no sampling is involved.</param>
/// <param name="High">Upper end of the 95 % interval; null where no sampling is involved.</param>
/// <param name="Direction"><c>higher</c>, <c>lower</c>, or <c>closer to NAME</c> of a named reference.</param>
/// <param name="Reference">The value of the reference (a retrained or never-taught model); null where none exists.</param>
/// <param name="N">Number of examples behind the estimate.</param>
/// <param name="Definition">The formula in one sentence.</param>
public sealed record MetricValue(
    double Value,
    double? Low,
    double? High,
    string Direction,
    double? Reference,
    int N,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Definition = null);
