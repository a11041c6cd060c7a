using System.Globalization;
using Falcon.Attacks.Protocol;
using Falcon.Evaluation;
using Falcon.Results;
using Falcon.Runtime;

namespace Falcon.Attacks.Training;

/// <summary>What the attacker fine-tunes on. None of it tells a scored answer.</summary>
internal enum RelearningTexts
{
    /// <summary>Texts of the forget set.</summary>
    Forget,

    /// <summary>Texts that have nothing to do with the forget set.</summary>
    Benign,

    /// <summary>The development questions with their answers: training on some facts to get others back (RTT).</summary>
    OtherFacts,
}

/// <summary>
/// Fine-tunes a low-rank adapter and asks about facts that the training did not contain. Answers that come back were still in the model;
/// the never-taught control, trained the same way, shows what the training itself teaches (Lucki et al. 2024, arXiv 2409.18025; Deeb and
/// Roger 2024, arXiv 2410.08827). Learning rate and number of steps are chosen in a first training, on development questions whose facts it
/// does not contain. Then the adapter is trained on all texts of the attacker, and its learning curve is kept.
/// </summary>
internal sealed class Relearning(RelearningTexts source) : Attack
{
    private const double Level = 0.5;

    public override string Name =>
        source switch
        {
            RelearningTexts.Forget => "relearning-forget",
            RelearningTexts.Benign => "relearning-benign",
            _ => "relearning-other-facts",
        };

    public override AttackTier Tier => AttackTier.Training;

    public override string Definition =>
        source switch
        {
            RelearningTexts.Forget => "Low-rank fine-tuning on forget texts that do not name what is scored (arXiv 2409.18025).",
            RelearningTexts.Benign =>
                "Low-rank fine-tuning on texts of neither set, or of the retain set where there are none (arXiv 2409.18025).",
            _ => "Low-rank fine-tuning on the development facts, scored on the others (RTT, arXiv 2410.08827).",
        };

    public override AttackScores Run(AttackSubject subject, AttackData data, AttackSettings settings) =>
        Train(subject, data, Texts(data), settings);

    /// <summary>The same training on texts whose answers are shuffled among the questions.</summary>
    public override AttackScores RunRandom(AttackSubject subject, AttackData data, AttackSettings settings)
    {
        var texts = Texts(data);
        var order = new SeededRandom(settings.Seed, "answers to wrong questions").Permutation(texts.Count);
        return Train(subject, data, [.. texts.Zip(order, (text, other) => text.Answered(texts[other]))], settings);
    }

    private static AttackScores Train(AttackSubject subject, AttackData data, IReadOnlyList<AttackText> texts, AttackSettings settings)
    {
        var loaded = subject.Loaded;
        var scoring = new AttackScoring(loaded, data, settings);
        var (steps, points, rates, batch) = Size(settings);
        var (allowed, asked) = HeldOut(data, texts, settings);
        List<ScoredSequence> Tokens(IReadOnlyList<AttackText> all) => [.. all.Select(text => text.Tokens(scoring.Prompts))];
        Dictionary<string, double> extras = [];
        (double Rate, int Steps, double Score) best = (rates[0], steps, double.NegativeInfinity);
        foreach (var rate in rates)
            new FineTuning(rate, steps, batch, Rank: 8, settings.Seed).Run(
                loaded.Model,
                Tokens(allowed),
                scoring.PadId,
                [steps / 2, steps],
                (step, model) =>
                {
                    var score = scoring.RightFirst(asked, new ScoringPass { Model = model }).Average();
                    extras[string.Create(CultureInfo.InvariantCulture, $"held-out development: rate {rate}, {step} steps")] = score;
                    if (score > best.Score)
                        best = (rate, step, score);
                },
                settings.Cancellation
            );

        List<(int Steps, IReadOnlyList<double> Scores)> course = [];
        int[] visits =
        [
            .. Enumerable.Range(0, points + 1).Select(i => steps * i * i / (points * points)).Append(best.Steps).Distinct().Order(),
        ];
        new FineTuning(best.Rate, steps, batch, Rank: 8, settings.Seed).Run(
            loaded.Model,
            Tokens(texts),
            scoring.PadId,
            visits,
            (step, model) =>
            {
                course.Add((step, scoring.RightFirst(data.Test, new ScoringPass { Model = model })));
                settings.Log.Progress("relearning", step, steps);
            },
            settings.Cancellation
        );
        AddCurve(
            extras,
            new LearningCurve([.. course.Select(point => (point.Steps, point.Scores.Average()))]),
            new AttackScoring(subject.Original, data, settings).RightFirst(data.Test).Average()
        );
        return new AttackScores(
            course.First(point => point.Steps == best.Steps).Scores,
            string.Create(CultureInfo.InvariantCulture, $"{best.Steps} steps of {batch} texts, rate {best.Rate}, rank 8")
        )
        {
            Steps = steps * (rates.Length + 1),
            Samples = texts.Count,
            Gain =
            [
                .. Enumerable
                    .Range(0, data.Test.Count)
                    .Select(item => new LearningCurve([.. course.Select(point => (point.Steps, point.Scores[item]))]).MeanGain),
            ],
            Extras = extras,
        };
    }

    private static void AddCurve(Dictionary<string, double> extras, LearningCurve curve, double original)
    {
        foreach (var (step, accuracy) in curve.Points)
            extras[string.Create(CultureInfo.InvariantCulture, $"test after {step} steps")] = accuracy;
        extras["mean gain along the curve"] = curve.MeanGain;
        var start = curve.Points[0].Accuracy;
        if (original > start && curve.StepsTo(start + Level * (original - start)) is { } half) extras["steps to half the gap"] = half;
    }

    /// <summary>Development questions that are held out for tuning, and the texts that do not mention what they ask about.</summary>
    private static (IReadOnlyList<AttackText> Texts, IReadOnlyList<AttackItem> Asked) HeldOut(
        AttackData data,
        IReadOnlyList<AttackText> texts,
        AttackSettings settings
    )
    {
        List<string> questions = [.. data.Development.Select(item => item.Question)];
        var groups = FactGroups.Of(questions);
        var split = AttackSplit.Of(groups.GroupOf, [.. questions.Select(_ => 0)], settings.Seed)
            ?? AttackSplit.Of([.. Enumerable.Range(0, questions.Count)], [.. questions.Select(_ => 0)], settings.Seed)!;
        var keys = split.Test.SelectMany(i => groups.KeysOf(questions[i])).ToHashSet();
        List<AttackText> allowed = [.. texts.Where(text => !FactGroups.Mentions(text.Content, keys))];
        return (allowed.Count > 0 ? allowed : texts, [.. split.Test.Select(i => data.Development[i])]);
    }

    private IReadOnlyList<AttackText> Texts(AttackData data) =>
        source switch
        {
            RelearningTexts.Forget => data.ForgetTexts,
            RelearningTexts.Benign when data.BenignTexts.Count > 0 => data.BenignTexts,
            RelearningTexts.Benign => data.RetainTexts,
            _ => [.. data.Development.Select(AttackText.Of)],
        };

    private static (int Steps, int Points, double[] Rates, int Batch) Size(AttackSettings settings) => settings.Budget switch
    {
        AttackBudget.Quick => (40, 4, [1e-3, 5e-3], 8),
        AttackBudget.Standard => (120, 8, [3e-4, 1e-3, 3e-3, 1e-2], 8),
        _ => (500, 12, [1e-4, 3e-4, 1e-3, 3e-3, 1e-2], 8),
    };
}
