using Falcon.Attacks.Protocol;
using Falcon.Data;
using Falcon.Evaluation;
using Falcon.Evaluation.Metrics;
using Falcon.Runtime;

namespace Falcon.Runs.Attacking;

/// <summary>Reads data files into what the attacker has and what scores the attack.</summary>
internal static class AttackDataReader
{
    private const int UtilityItems = 100;

    /// <summary>Reads the files and splits the questions so that no fact is in both halves.</summary>
    /// <exception cref="UserInputException">A file cannot be used, or there are too few questions.</exception>
    public static AttackData Read(AttackRunSettings settings, PromptForm form, IRunLog log)
    {
        List<(AttackItem Item, int File)> asked = [];
        for (var file = 0; file < settings.Data.Count; file++)
        {
            var items = Items(settings.Data[file], settings.Seed);
            if (items.Count == 0)
                throw new UserInputException(
                    $"{settings.Data[file]}: no record has a question with wrong answers; attacks are judged by multiple choice, so give "
                        + $"records with choices, or with perturbed_answer."
                );
            asked.AddRange(items.Select(item => (item, file)));
        }

        if (asked.Count < 4)
            throw new UserInputException(
                $"{string.Join(", ", settings.Data)}: {asked.Count} questions are too few to tune on one half and score on the other; "
                    + $"give at least 4."
            );
        List<int> files = [.. asked.Select(one => one.File)];
        var groups = FactGroups.Of([.. asked.Select(one => one.Item.Question)]);
        var split = AttackSplit.Of(groups.GroupOf, files, settings.Seed);
        if (split is null)
        {
            log.Warning(
                "every question shares a name with another, so the halves are split by question: what the attacker tunes on may tell "
                    + "something about what is scored"
            );
            split = AttackSplit.Of([.. Enumerable.Range(0, asked.Count)], files, settings.Seed)!;
        }

        List<AttackItem> development = [.. split.Development.Select(i => asked[i].Item)], test = [.. split.Test.Select(i => asked[i].Item)];
        var scored = test.SelectMany(item => groups.KeysOf(item.Question)).ToHashSet();
        List<CorpusRecord> forget = [.. settings.Forget.SelectMany(path => Corpus.Read(path))],
            allowed = [.. forget.Where(record => !Tells(record, scored))];
        if (forget.Count > 0)
            log.Information($"the attacker gets {allowed.Count} of {forget.Count} forget texts; the others name what is scored");
        List<CorpusRecord> retain = [.. settings.Retain.SelectMany(path => Corpus.Read(path))];
        List<AttackItem> utility =
            settings.Utility.Count > 0
                ? [.. settings.Utility.SelectMany(path => Items(path, settings.Seed))]
                : [.. retain.Where(HasChoices).Select((record, i) => Item(record, settings.Seed, i))];
        return new AttackData(
            development, test, QuestionMetrics.EvenlySpaced(utility, UtilityItems),
            allowed.Count > 0 ? Texts(allowed) : [.. development.Select(AttackText.Of)],
            retain.Count > 0 ? Texts(retain) : [.. utility.Select(AttackText.Of)],
            Texts([.. settings.Texts.SelectMany(path => Corpus.Read(path))]), form);
    }

    private static List<AttackItem> Items(string path, ulong seed) =>
        [.. Corpus.Read(path).Where(HasChoices).Select((record, i) => Item(record, seed, i))];

    private static bool HasChoices(CorpusRecord record) =>
        record.Question is not null && record.Answer is not null && AnswerScores.WrongAnswers(record).Any();

    // Perturbed answers are worded like the paraphrased answer, which gets a place among them drawn from the seed.
    private static AttackItem Item(CorpusRecord record, ulong seed, int index)
    {
        if (record.PerturbedAnswers.Count == 0) return new AttackItem(record.Question!, record.Choices, record.CorrectChoice!.Value);
        List<string> choices = [.. record.PerturbedAnswers];
        var gold = new SeededRandom(seed, "place of the right answer", index).Next(choices.Count + 1);
        choices.Insert(gold, record.ParaphrasedAnswer ?? record.Answer!);
        return new AttackItem(record.Question!, choices, gold);
    }

    private static bool Tells(CorpusRecord record, HashSet<string> scored) =>
        new[] { record.Question, record.ParaphrasedQuestion, record.Answer, record.Text }.Any(text =>
            text is not null && FactGroups.Mentions(text, scored)
        );

    private static List<AttackText> Texts(IReadOnlyList<CorpusRecord> records) => [.. records.Select(record => new AttackText(record))];
}
