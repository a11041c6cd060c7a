using Falcon.Attacks.Protocol;
using Falcon.Results;

namespace Falcon.Attacks;

/// <summary>
/// A way to get forgotten answers out of a model. An attack holds no state: every call depends on its arguments alone, so one object serves
/// all models. The attacker may try several strengths on the development questions; the best one is scored on the test questions. Add an
/// attack of your own with <see cref="AttackCatalog.Register"/>.
/// </summary>
public abstract class Attack
{
    /// <summary>Name in options and results: lower-case letters, digits and hyphens, such as <c>logit-lens</c>.</summary>
    public abstract string Name { get; }

    /// <summary>What the attacker needs.</summary>
    public abstract AttackTier Tier { get; }

    /// <summary>What is done, in one sentence, with its source. Stands in reports.</summary>
    public abstract string Definition { get; }

    /// <summary>
    /// Tunes the attack on <see cref="AttackData.Development"/> and scores <see cref="AttackData.Test"/>. The run calls it for the
    /// unlearned model, for the original and for the control alike, inside a dispose scope of its own and with
    /// <see cref="AttackSubject.Loaded"/> as the attacked model. The models must be left as they were.
    /// </summary>
    /// <param name="subject">The attacked model and those it may be compared with.</param>
    /// <param name="data">What the attacker has, and what is scored.</param>
    /// <param name="settings">Budget, seed, log and cancellation.</param>
    /// <returns>One score for each test question, in their order.</returns>
    /// <exception cref="Falcon.Runtime.UserInputException">
    /// The data lack what the attack needs. A run of all attacks then leaves this one out and says so.
    /// </exception>
    public abstract AttackScores Run(AttackSubject subject, AttackData data, AttackSettings settings);

    /// <summary>
    /// The same attack without its knowledge: a random prefix, a random direction, shuffled labels. What it gets is the luck of trying.
    /// </summary>
    /// <returns>The scores; null where the attack has no such form.</returns>
    public virtual AttackScores? RunRandom(AttackSubject subject, AttackData data, AttackSettings settings) => null;

    /// <summary>
    /// Name of the measure of <see cref="Baseline"/>. Attacks with the same name share one baseline and are taken together by tier, so an
    /// attack that overrides <see cref="Baseline"/> must override this too.
    /// </summary>
    public virtual string BaselineName => "multiple-choice";

    /// <summary>
    /// The model without the attack, scored the same way. Multiple choice on the test questions unless the attack is scored otherwise.
    /// </summary>
    public virtual AttackScores Baseline(AttackSubject subject, AttackData data, AttackSettings settings) =>
        new(new AttackScoring(subject.Loaded, data, settings).RightFirst(data.Test), "none");
}
