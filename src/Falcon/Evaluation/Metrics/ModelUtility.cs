namespace Falcon.Evaluation.Metrics;

/// <summary>The three TOFU values of one question set, each in 0..1.</summary>
/// <param name="Probability">Mean probability of the answer (real authors, world facts: among the options).</param>
/// <param name="RougeL">Mean ROUGE-L recall, with stemmer.</param>
/// <param name="TruthRatio">Mean truth-ratio score (<see cref="Metrics.TruthRatio.RetainScore"/>).</param>
public readonly record struct TofuSetScores(double Probability, double RougeL, double TruthRatio);

/// <summary>TOFU's model utility: the harmonic mean of nine values (Maini et al. 2024, section 2.2.1).</summary>
public static class ModelUtility
{
    /// <summary>Harmonic mean of probability, ROUGE-L recall and truth ratio of the three sets that are not to be forgotten.</summary>
    public static double Of(TofuSetScores retain, TofuSetScores realAuthors, TofuSetScores worldFacts) => HarmonicMean(
    [
        retain.Probability, retain.RougeL, retain.TruthRatio,
        realAuthors.Probability, realAuthors.RougeL, realAuthors.TruthRatio,
        worldFacts.Probability, worldFacts.RougeL, worldFacts.TruthRatio,
    ]);

    /// <summary>n / sum(1 / x); 0 as soon as one value is 0.</summary>
    /// <exception cref="ArgumentException">No value, or a negative or undefined one.</exception>
    public static double HarmonicMean(ReadOnlySpan<double> values)
    {
        if (values.IsEmpty) throw new ArgumentException("a harmonic mean needs at least one value", nameof(values));
        var sum = 0.0;
        foreach (var value in values)
        {
            if (!(value >= 0)) throw new ArgumentException($"a harmonic mean needs values of 0 or more, not {value}", nameof(values));
            sum += 1 / value; // infinite for 0, which makes the mean 0
        }
        return values.Length / sum;
    }
}
