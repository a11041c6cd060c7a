using Falcon.Runtime;

namespace Falcon.Attacks.Protocol;

/// <summary>The two halves of the questions, without a common fact.</summary>
/// <param name="Development">Indices of the questions that the attacker may use.</param>
/// <param name="Test">Indices of those that are scored.</param>
internal sealed record AttackSplit(IReadOnlyList<int> Development, IReadOnlyList<int> Test)
{
    /// <summary>
    /// Deals whole groups to the half that has fewer questions, file by file in an order drawn from the seed, so that every file is in both
    /// halves where it has two groups.
    /// </summary>
    /// <param name="groupOf">The group of each question.</param>
    /// <param name="fileOf">The file of each question.</param>
    /// <param name="seed">Seed of the order.</param>
    /// <returns>Null where the questions are all of one group, so that no half can do without the other's facts.</returns>
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
