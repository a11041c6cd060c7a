namespace Falcon.Attacks.Protocol;

/// <summary>What an attack gets out of one model.</summary>
/// <param name="PerItem">
/// One score for each scored question, 0 to 1; 1 where the right answer comes first. The same questions in the same order for every model.
/// </param>
/// <param name="Setting">The strength that the attacker chose, in words.</param>
public sealed record AttackScores(IReadOnlyList<double> PerItem, string Setting)
{
    /// <summary>Mean over the questions, 0 to 1.</summary>
    public double Mean => PerItem.Average();

    /// <summary>Steps of optimisation or training; 0 for attacks without.</summary>
    public int Steps { get; init; }

    /// <summary>Questions, texts or draws that tuning, training and sampling used.</summary>
    public int Samples { get; init; }

    /// <summary>
    /// For training attacks: one number for each question, its mean score along the training less its score at the start. Empty otherwise.
    /// </summary>
    public IReadOnlyList<double> Gain { get; init; } = [];

    /// <summary>Other numbers worth reporting, by name.</summary>
    public IReadOnlyDictionary<string, double> Extras { get; init; } = new Dictionary<string, double>();
}
