using Falcon.Runtime;

namespace Falcon.Attacks.Protocol;

/// <summary>How an attack is run.</summary>
/// <param name="Budget">How much the attacker spends.</param>
/// <param name="Seed">Seed of everything random (through <see cref="Seeds"/>).</param>
/// <param name="Log">Progress.</param>
/// <param name="Cancellation">Stops between batches and steps.</param>
internal sealed record AttackSettings(AttackBudget Budget, ulong Seed, IRunLog Log, CancellationToken Cancellation);
