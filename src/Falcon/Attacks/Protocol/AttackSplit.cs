using Falcon.Runtime;

namespace Falcon.Attacks.Protocol;

/// <summary>A split of questions into two halves that share no fact.</summary>
/// <param name="Development">Indices of the questions that the attacker may use.</param>
/// <param name="Test">Indices of the questions that are scored.</param>
internal sealed record AttackSplit(IReadOnlyList<int> Development, IReadOnlyList<int> Test)
{
    /// <summary>
    /// Gives whole groups to the half that has fewer questions, file by file in an order drawn from the seed. A file with two groups or
    /// more is in both halves.
    /// </summary>
    /// <param name="groupOf">The group of each question.</param>
    /// <param name="fileOf">The file of each question.</param>
    /// <param name="seed">Seed of the order.</param>
    /// <returns>Null where all questions are of one group and cannot be split.</returns>
    public static AttackSplit? Of(IReadOnlyList<int> groupOf, IReadOnlyList<int> fileOf, ulong seed)
    {
        var groups = Enumerable.Range(0, groupOf.Count).GroupBy(i => groupOf[i]).Select(group => group.ToArray()).ToArray();
        if (groups.Length < 2) return null;
        new SeededRandom(seed, "halves of the questions").Shuffle<int[]>(groups);
        List<int> development = [], test = [];
        foreach (var file in groups.GroupBy(group => fileOf[group[0]]).OrderBy(file => file.Key))
        {
            var (ofDevelopment, ofTest) = (0, 0);
            foreach (var group in file.OrderByDescending(group => group.Length)) // stable: the drawn order among equals
            {
                var toTest = ofTest < ofDevelopment || (ofTest == ofDevelopment && test.Count <= development.Count);
                (toTest ? test : development).AddRange(group);
                if (toTest) ofTest += group.Length;
                else ofDevelopment += group.Length;
            }
        }

        return new AttackSplit([.. development.Order()], [.. test.Order()]);
    }
}
