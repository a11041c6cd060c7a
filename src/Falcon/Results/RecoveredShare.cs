namespace Falcon.Results;

/// <summary>
/// Share of a gap between two models that an attack closes: 0 is the lower end of the gap, 1 the upper end; below 0 and above 1 are
/// possible.
/// </summary>
/// <param name="Value">The share; null where the gap itself cannot be told from zero.</param>
/// <param name="Low">Lower end of the 95 % interval (percentile bootstrap over the questions); null with <paramref name="Value"/>.</param>
/// <param name="High">Upper end of the interval.</param>
public sealed record RecoveredShare(double? Value, double? Low, double? High);
