using Falcon.Attacks.Protocol;
using Falcon.Results;

namespace Falcon.Attacks;

/// <summary>
/// A way to get forgotten answers out of a model. It holds no state: every call depends on its arguments alone. The attacker may try
/// several strengths on the development questions and keeps the best; only that one is scored on the test questions.
/// </summary>
internal abstract class Attack
{
    /// <summary>Name in options and results, in kebab case.</summary>
    public abstract string Name { get; }

    /// <summary>What the attacker needs.</summary>
    public abstract AttackTier Tier { get; }

    /// <summary>What is done, in one sentence, with its source.</summary>
    public abstract string Definition { get; }

    /// <summary>Tunes the attack on <see cref="AttackData.Development"/> and scores <see cref="AttackData.Test"/>.</summary>
    /// <exception cref="Falcon.Runtime.UserInputException">The data lack what the attack needs.</exception>
    public abstract AttackScores Run(AttackSubject subject, AttackData data, AttackSettings settings);

    /// <summary>
    /// An attack of the same form without its knowledge (a random prefix or direction, shuffled labels); null where there is none.
    /// </summary>
    public virtual AttackScores? RunRandom(AttackSubject subject, AttackData data, AttackSettings settings) => null;

    /// <summary>Name of the measure of <see cref="Baseline"/>; attacks that are judged alike share it.</summary>
    public virtual string BaselineName => "multiple-choice";

    /// <summary>
    /// The model without the attack, judged the same way: multiple choice of the test questions unless the attack is judged otherwise.
    /// </summary>
    public virtual AttackScores Baseline(AttackSubject subject, AttackData data, AttackSettings settings) =>
        new(new AttackScoring(subject.Loaded, data, settings).RightFirst(data.Test), "none");
}
