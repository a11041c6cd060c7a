using Falcon.Results;
using Falcon.Runtime;

namespace Falcon.Attacks.Protocol;

/// <summary>How an attack is run.</summary>
/// <param name="Budget">How much the attacker spends.</param>
/// <param name="Seed">
/// Seed of everything random; derive one for each purpose with <see cref="Seeds"/> or <see cref="SeededRandom"/>.
/// </param>
/// <param name="Log">Where progress goes.</param>
/// <param name="Cancellation">To be checked between batches and steps.</param>
public sealed record AttackSettings(AttackBudget Budget, ulong Seed, IRunLog Log, CancellationToken Cancellation)
{
    /// <summary>Draws without replacement.</summary>
    /// <param name="all">What is drawn from.</param>
    /// <param name="count">Largest number to draw; with as many or more than there are, all come back in a random order.</param>
    /// <param name="purpose">What they are drawn for; each purpose has draws of its own.</param>
    /// <returns>The drawn ones in the order drawn; the same for the same seed and purpose.</returns>
    public IReadOnlyList<T> Sample<T>(IReadOnlyList<T> all, int count, string purpose) =>
        [.. new SeededRandom(Seed, "attack, " + purpose).Permutation(all.Count).Take(count).Select(i => all[i])];
}
