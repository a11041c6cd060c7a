using Falcon.Attacks.Protocol;
using Falcon.Results;

namespace Falcon.Attacks;

/// <summary>No attack: the questions as they stand. Every other row is compared with it.</summary>
internal sealed class PlainQuestions : Attack
{
    /// <summary>The only instance that is needed.</summary>
    public static PlainQuestions Instance { get; } = new();

    public override string Name => "none";

    public override AttackTier Tier => AttackTier.BlackBox;

    public override string Definition => "multiple choice of the questions as they stand";

    public override AttackScores Run(AttackSubject subject, AttackData data, AttackSettings settings) => Baseline(subject, data, settings);
}
