using System.Text.RegularExpressions;
using Falcon.Attacks.Protocol;
using Falcon.Data;
using Falcon.Results;
using Falcon.Runtime;

namespace Falcon.Attacks.BlackBox;

/// <summary>Puts related facts before the question, none of them the one that is asked for.</summary>
internal sealed partial class InContextFacts : Attack
{
    public override string Name => "in-context-facts";

    public override AttackTier Tier => AttackTier.BlackBox;

    public override string Definition =>
        "The forget texts nearest to the question in words, none of them about its subject, stand before it (in-context relearning; "
            + "Shumailov et al. 2024, arXiv 2407.00106).";

    public override AttackScores Run(AttackSubject subject, AttackData data, AttackSettings settings) =>
        Run(subject, data, settings, (question, count) => Nearest(data.ForgetTexts, question, count, data.PromptForm.Template));

    public override AttackScores? RunRandom(AttackSubject subject, AttackData data, AttackSettings settings)
    {
        if (data.RetainTexts.Count == 0) return null;
        var random = new SeededRandom(settings.Seed, "facts in context");
        return Run(subject, data, settings, (_, count) =>
            [.. Enumerable.Range(0, count).Select(_ => data.RetainTexts[random.Next(data.RetainTexts.Count)])]
        );
    }

    private static AttackScores Run(
        AttackSubject subject,
        AttackData data,
        AttackSettings settings,
        Func<string, int, IReadOnlyList<AttackText>> choose
    )
    {
        var scoring = new AttackScoring(subject.Loaded, data, settings);
        var room = subject.Loaded.Model.Config.MaxPositions;
        int[] counts = settings.Budget switch
        {
            AttackBudget.Quick => [2, 6],
            AttackBudget.Standard => [1, 2, 4, 8],
            _ => [1, 2, 4, 8, 16, 32],
        };
        AskedQuestion Asked(AttackItem item, int count)
        {
            var needed = scoring.Sequences(item).Max(sequence => sequence.Tokens.Length);
            List<CorpusRecord> context = [];
            foreach (var text in choose(item.Question, count))
            {
                needed += text.Tokens(scoring.Prompts).Tokens.Length + 1;
                if (needed > room) break; // the best ones are in
                context.Insert(0, text.Record);
            }

            return scoring.Asked(item) with { Examples = context };
        }

        return StrengthChoice.Best(
            [.. counts.Select(count => ($"{count} texts", count))],
            (count, items) => scoring.RightFirst(items, new ScoringPass { Asked = item => Asked(item, count) }),
            data,
            settings.Budget
        );
    }

    /// <summary>
    /// The texts whose prompts share most words with the question (Jaccard index), best first; equals in their order.
    /// </summary>
    internal static IReadOnlyList<AttackText> Nearest(
        IReadOnlyList<AttackText> texts,
        string question,
        int count,
        PromptTemplate template
    )
    {
        var words = Words(question);
        return
        [
            .. texts
                .Select(text => (Text: text, Words: Words(template.Prompt(text.Record) is { Length: > 0 } prompt ? prompt : text.Content)))
                .OrderByDescending(one =>
                    one.Words.Count == 0 ? 0 : one.Words.Intersect(words).Count() / (double)one.Words.Union(words).Count()
                )
                .Take(count)
                .Select(one => one.Text),
        ];
    }

    private static HashSet<string> Words(string text) => [.. Word().Matches(text.ToLowerInvariant()).Select(word => word.Value)];

    [GeneratedRegex(@"[\p{L}\p{N}]+")]
    private static partial Regex Word();
}
