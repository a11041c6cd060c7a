using System.Text.RegularExpressions;

namespace Falcon.Attacks.Protocol;

/// <summary>
/// Groups of questions about the same thing: those that share a name (a capitalised word that does not begin the question), and those that
/// are the same question. Names that occur in many questions do not count.
/// </summary>
internal sealed partial class FactGroups
{
    // A name in more questions than both of these is a common word of the data.
    private const int FrequentName = 25;
    private const double FrequentShare = 0.15;

    private readonly HashSet<string> _frequent;

    private FactGroups(IReadOnlyList<int> groupOf, HashSet<string> frequent) => (GroupOf, _frequent) = (groupOf, frequent);

    /// <summary>The group of each question, numbered from 0 in the order of their first questions.</summary>
    public IReadOnlyList<int> GroupOf { get; }

    /// <summary>Groups the questions.</summary>
    public static FactGroups Of(IReadOnlyList<string> questions)
    {
        var limit = Math.Max(FrequentName, FrequentShare * questions.Count);
        HashSet<string> frequent =
        [
            .. questions
                .SelectMany(question => Names(question).Distinct())
                .CountBy(name => name)
                .Where(count => count.Value > limit)
                .Select(count => count.Key),
        ];
        var parents = Enumerable.Range(0, questions.Count).ToArray();
        int Root(int i) => parents[i] == i ? i : parents[i] = Root(parents[i]);
        Dictionary<string, int> first = [];
        for (var i = 0; i < questions.Count; i++)
            foreach (var key in Names(questions[i]).Where(name => !frequent.Contains(name)).Append(Plain(questions[i])))
                if (!first.TryAdd(key, i)) parents[Root(i)] = Root(first[key]);
        List<int> roots = [.. questions.Select((_, i) => Root(i))];
        List<int> order = [.. roots.Distinct()];
        return new FactGroups([.. roots.Select(root => order.IndexOf(root))], frequent);
    }

    /// <summary>What a text about the same thing would mention: the names of the question, and the question itself.</summary>
    public IEnumerable<string> KeysOf(string question) => Names(question).Where(name => !_frequent.Contains(name)).Append(Plain(question));

    /// <summary>Whether a text mentions one of these keys.</summary>
    public static bool Mentions(string text, IReadOnlySet<string> keys) =>
        keys.Contains(Plain(text)) || Word().Matches(text).Any(word => keys.Contains(word.Value));

    private static IEnumerable<string> Names(string question) =>
        Word().Matches(question).Skip(1).Select(word => word.Value).Where(word => char.IsUpper(word[0]));

    private static string Plain(string question) => question.Trim().ToUpperInvariant() + "?"; // no single word, so no name

    [GeneratedRegex(@"\p{L}[\p{L}\p{N}'’\-]*")]
    private static partial Regex Word();
}
