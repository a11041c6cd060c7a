namespace Falcon.Evaluation.Metrics;

/// <summary>A mean over examples with its standard error.</summary>
/// <param name="Mean">Arithmetic mean.</param>
/// <param name="StandardError">Sample standard deviation (n - 1) over sqrt(n); null for a single example.</param>
/// <param name="N">Number of examples.</param>
public readonly record struct SampleMean(double Mean, double? StandardError, int N)
{
    /// <summary>Mean and standard error of the given values.</summary>
    /// <exception cref="ArgumentException">No value.</exception>
    public static SampleMean Of(IReadOnlyCollection<double> values)
    {
        if (values.Count == 0) throw new ArgumentException("a mean needs at least one value", nameof(values));
        var mean = values.Sum() / values.Count;
        if (values.Count == 1) return new SampleMean(mean, null, 1);
        var squares = values.Sum(value => (value - mean) * (value - mean));
        return new SampleMean(mean, Math.Sqrt(squares / (values.Count - 1) / values.Count), values.Count);
    }
}
