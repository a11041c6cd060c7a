namespace Falcon.Attacks.Protocol;

/// <summary>What an attack gets out of one model.</summary>
/// <param name="PerItem">
/// One score an item, 0 to 1; 1 where the right answer came first. The same items in the same order for every model.
/// </param>
/// <param name="Setting">The strength that the attacker kept, in words.</param>
internal sealed record AttackScores(IReadOnlyList<double> PerItem, string Setting)
{
    /// <summary>Mean over the items.</summary>
    public double Mean => PerItem.Average();

    /// <summary>Steps of optimisation or training; 0 without.</summary>
    public int Steps { get; init; }

    /// <summary>Samples that were looked at for tuning, training or drawing.</summary>
    public int Samples { get; init; }

    /// <summary>
    /// For training: one number an item, its mean score over the course of the training less that at the start; else empty.
    /// </summary>
    public IReadOnlyList<double> Gain { get; init; } = [];

    /// <summary>Other numbers worth reporting, by name.</summary>
    public IReadOnlyDictionary<string, double> Extras { get; init; } = new Dictionary<string, double>();
}
