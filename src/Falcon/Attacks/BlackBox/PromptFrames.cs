using Falcon.Attacks.Protocol;
using Falcon.Data;
using Falcon.Results;
using Falcon.Runtime;

namespace Falcon.Attacks.BlackBox;

/// <summary>Asks the same question in several wordings, and keeps the one that works best on the development questions.</summary>
internal abstract class PromptFrames : Attack
{
    private const int RandomTokens = 8;
    private const int QuickTries = 3;

    public override AttackTier Tier => AttackTier.BlackBox;

    public override AttackScores Run(AttackSubject subject, AttackData data, AttackSettings settings)
    {
        var scoring = new AttackScoring(subject.Loaded, data, settings);
        var frames = Frames(subject, data, scoring);
        return StrengthChoice.Best(
            frames,
            (frame, items) => scoring.RightFirst(items, new ScoringPass { Asked = frame }),
            data,
            settings.Budget
        );
    }

    /// <summary>Random tokens before the question: as many tries as there are wordings, three with the quick budget.</summary>
    public override AttackScores RunRandom(AttackSubject subject, AttackData data, AttackSettings settings)
    {
        var scoring = new AttackScoring(subject.Loaded, data, settings);
        var random = new SeededRandom(settings.Seed, Name + ", random tokens");
        List<(string, int[])> prefixes =
        [
            .. Enumerable
                .Range(1, settings.Budget == AttackBudget.Quick ? QuickTries : Frames(subject, data, scoring).Count)
                .Select(i =>
                    (
                        $"random tokens {i}",
                        Enumerable.Range(0, RandomTokens).Select(_ => random.Next(subject.Loaded.Tokenizer.VocabularySize)).ToArray()
                    )
                ),
        ];
        return StrengthChoice.Best(
            prefixes,
            (prefix, items) => scoring.RightFirst(items, new ScoringPass { PrefixTokens = prefix }),
            data,
            settings.Budget
        );
    }

    /// <summary>The wordings: a name, and a function that gives the question as it is put.</summary>
    protected abstract IReadOnlyList<(string Name, Func<AttackItem, AskedQuestion> Asked)> Frames(
        AttackSubject subject,
        AttackData data,
        AttackScoring scoring
    );
}

