using Falcon.Attacks.Protocol;
using Falcon.Evaluation;
using Falcon.Results;
using Falcon.Runtime;
using static TorchSharp.torch;

namespace Falcon.Attacks.Inputs;

/// <summary>
/// One text before every question that makes the model answer. It is optimised on some of the development questions and selected on the
/// others, so nothing is fitted to the scored questions. Plain: greedy coordinate gradient on the cross-entropy of the answers. Enhanced:
/// four loss terms and a buffer of prefixes (Lucki et al. 2024, arXiv 2409.18025).
/// </summary>
internal sealed class UniversalPrefix(bool enhanced) : Attack
{
    private const double RepresentationWeight = 0.2, FluencyWeight = 0.1, RepetitionWeight = 1;

    private sealed record Size(int Items, int Length, int Steps, int Candidates, int Tokens);

    public override string Name => enhanced ? "enhanced-gcg" : "gcg";

    public override AttackTier Tier => AttackTier.InputOptimization;

    public override string Definition =>
        enhanced
            ? "Universal prefix by GCG with representation, fluency and repetition terms and a buffer of edits; trained on some "
                + "questions, scored on others (arXiv 2407.17447, 2409.18025)."
            : "Universal prefix by greedy coordinate gradient, trained on some questions, scored on others (arXiv 2307.15043).";

    public override AttackScores Run(AttackSubject subject, AttackData data, AttackSettings settings)
    {
        var (loaded, size) = (subject.Loaded, SizeOf(settings));
        var scoring = new AttackScoring(loaded, data, settings);
        var (train, rest) = Parts(data, size, settings);
        var vocabulary = Vocabulary(scoring, train[0]);
        var objective = Objective(
            subject,
            [.. train.Select(item => scoring.Sequences(item)[item.Gold])],
            scoring.PadId,
            scoring.PrefixPlace
        );
        List<(string, int[])> found = [];
        List<double> losses = [];
        void After(int step, int[] prefix, double loss)
        {
            if (step == 1 || step == size.Steps)
                losses.Add(loss);
            if (step == size.Steps / 3 || step == size.Steps * 2 / 3 || step == size.Steps)
                found.Add(($"{prefix.Length} tokens after {step} steps: {loaded.Tokenizer.Decode(prefix)}", prefix));
            settings.Log.Progress(Name, step, size.Steps);
        }

        using (var generator = new Generator(Seeds.Derive(settings.Seed, "proposed tokens"), loaded.Model.Device))
        {
            if (enhanced)
                Buffered(objective, vocabulary, size, generator)
                    .Run(Start(vocabulary, size.Length / 2, settings, 0), size.Steps, settings.Seed, After, settings.Cancellation);
            else
                Greedy(objective, vocabulary, size)
                    .Run(Start(vocabulary, size.Length, settings, 0), size.Steps, settings.Seed, After, settings.Cancellation);
        }

        var scores = StrengthChoice.Best(
            found,
            (prefix, items) => scoring.RightFirst(items, new ScoringPass { PrefixTokens = prefix }),
            data with
            {
                Development = rest,
            },
            settings.Budget
        );
        return scores with
        {
            Steps = size.Steps,
            Samples = data.Development.Count,
            Extras = new Dictionary<string, double>(scores.Extras)
            {
                ["loss after the first step"] = losses[0],
                ["loss after the last step"] = losses[^1],
            },
        };
    }

    /// <summary>Random prefixes of the same length, as many as the attack selects from.</summary>
    public override AttackScores RunRandom(AttackSubject subject, AttackData data, AttackSettings settings)
    {
        var size = SizeOf(settings);
        var scoring = new AttackScoring(subject.Loaded, data, settings);
        var (train, rest) = Parts(data, size, settings);
        var vocabulary = Vocabulary(scoring, train[0]);
        List<(string, int[])> prefixes =
        [
            .. Enumerable.Range(1, 3).Select(i => ($"random prefix {i}", Start(vocabulary, size.Length, settings, i))),
        ];
        return StrengthChoice.Best(
            prefixes,
            (prefix, items) => scoring.RightFirst(items, new ScoringPass { PrefixTokens = prefix }),
            data with
            {
                Development = rest,
            },
            settings.Budget
        );
    }

    private static PrefixVocabulary Vocabulary(AttackScoring scoring, AttackItem item) =>
        scoring.Prompts.IsChat
            ? new PrefixVocabulary(scoring.Prompts.Tokenizer, scoring.Asked(item).Text, isTrimmed: true)
            : new PrefixVocabulary(scoring.Prompts.Tokenizer, scoring.Prompts.PromptText(scoring.Asked(item)));

    private PrefixObjective Objective(AttackSubject subject, IReadOnlyList<ScoredSequence> items, int padId, int place)
    {
        var model = subject.Loaded.Model;
        return !enhanced ? new PrefixObjective(model, items, padId, place) : new PrefixObjective(model, items, padId, place)
        {
            Original = subject.Original.Model,
            RepresentationLayer = model.Config.LayerCount * 2 / 3,
            RepresentationWeight = RepresentationWeight,
            FluencyWeight = FluencyWeight,
            RepetitionWeight = RepetitionWeight,
        };
    }

    private static PrefixSearch Greedy(PrefixObjective objective, PrefixVocabulary vocabulary, Size size) => new()
    {
        Promising = prefix => objective.Promising(prefix, size.Tokens, vocabulary.Allowed),
        Losses = objective.Losses,
        Admissible = vocabulary.Survives,
        Candidates = size.Candidates,
    };

    private static BufferedPrefixSearch Buffered(PrefixObjective objective, PrefixVocabulary vocabulary, Size size, Generator generator) =>
        new()
        {
            Promising = prefix => objective.Promising(prefix, size.Tokens, vocabulary.Allowed),
            Proposals = (beginning, _) => objective.Proposals(beginning, size.Tokens, vocabulary.Allowed, generator),
            Losses = objective.Losses,
            Admissible = vocabulary.Survives,
            Candidates = Math.Max(4, size.Candidates / 2),
            BufferSize = 8,
            MinLength = size.Length / 2,
            MaxLength = size.Length,
        };

    /// <summary>Random allowed tokens that survive as text.</summary>
    private static int[] Start(PrefixVocabulary vocabulary, int length, AttackSettings settings, int index)
    {
        var random = new SeededRandom(settings.Seed, "first prefix", index);
        List<int> prefix = [];
        for (var tries = 0; prefix.Count < length && tries < 1000 * length; tries++)
        {
            prefix.Add(vocabulary.Allowed[random.Next(vocabulary.Allowed.Count)]);
            if (!vocabulary.Survives([.. prefix])) prefix.RemoveAt(prefix.Count - 1);
        }

        return prefix.Count > 0
            ? [.. prefix]
            : throw new UserInputException(
                "no text prefix can be made of single tokens of this tokenizer; leave the attacks gcg and enhanced-gcg out (--attacks)."
            );
    }

    private static (IReadOnlyList<AttackItem> Train, IReadOnlyList<AttackItem> Others) Parts(
        AttackData data,
        Size size,
        AttackSettings settings
    )
    {
        var order = settings.Sample(data.Development, data.Development.Count, "questions of the prefix");
        var count = Math.Min(size.Items, Math.Max(1, order.Count / 2));
        return ([.. order.Take(count)], order.Count > count ? [.. order.Skip(count)] : order);
    }

    private static Size SizeOf(AttackSettings settings) => settings.Budget switch
    {
        AttackBudget.Quick => new Size(Items: 8, Length: 8, Steps: 18, Candidates: 16, Tokens: 32),
        AttackBudget.Standard => new Size(Items: 16, Length: 16, Steps: 90, Candidates: 48, Tokens: 64),
        _ => new Size(Items: 32, Length: 20, Steps: 501, Candidates: 256, Tokens: 256),
    };
}
