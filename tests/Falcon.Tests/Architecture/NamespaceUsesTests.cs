namespace Falcon.Tests.Architecture;

/// <summary>The rules can fail: each way of using a type is found in types that were written for this.</summary>
public class NamespaceUsesTests
{
    private const string Early = "Falcon.Tests.Architecture.Samples.Early", Late = "Falcon.Tests.Architecture.Samples.Late";

    private static readonly NamespaceUses Uses = new(typeof(NamespaceUsesTests).Assembly);

    public static TheoryData<string> Users =>
        [
            .. typeof(NamespaceUsesTests)
                .Assembly.GetTypes()
                .Where(type => type.Namespace == Early && !type.IsNested)
                .Select(type => type.Name),
        ];

    [Theory]
    [MemberData(nameof(Users))]
    public void Between_AnyWayOfUsing_IsFound(string user) =>
        Assert.Contains(
            Uses.Between(Early, [Late]),
            line => line.StartsWith($"{Early}.{user}", StringComparison.Ordinal) && line.EndsWith($" uses {Late}", StringComparison.Ordinal)
        );

    [Fact]
    public void Between_NothingUsed_IsEmpty() => Assert.Empty(Uses.Between(Late, [Early]));
}
