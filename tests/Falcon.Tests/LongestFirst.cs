using Falcon.Tests.Attacks.Protocol;
using Falcon.Tests.Documentation;
using Falcon.Tests.Methods.Falcon;
using Falcon.Tests.Packaging;
using Xunit.Sdk;
using Xunit.v3;

[assembly: TestCollectionOrderer(typeof(Falcon.Tests.LongestFirst))]

namespace Falcon.Tests;

/// <summary>Starts the classes that take longest first (scripts/test-times.sh), so that no core waits for one at the end.</summary>
public sealed class LongestFirst : ITestCollectionOrderer
{
    private static readonly string[] Classes =
    [
        .. new[]
        {
            typeof(HiddenKnowledgeTests),
            typeof(ShownCommandsTests),
            typeof(HiddenInOneFormTests),
            typeof(HiddenFromPlainAnswersTests),
            typeof(AttackFamilyTests),
            typeof(TrajectoryParityTests),
            typeof(PackageTests), // builds, so not beside the other one that starts programs
        }.Select(type => type.FullName!),
    ];

    public IReadOnlyCollection<TTestCollection> OrderTestCollections<TTestCollection>(IReadOnlyCollection<TTestCollection> testCollections)
        where TTestCollection : ITestCollection =>
        [.. testCollections.OrderBy(Rank).ThenBy(collection => collection.TestCollectionDisplayName, StringComparer.Ordinal)];

    private static int Rank<TTestCollection>(TTestCollection collection)
        where TTestCollection : ITestCollection
    {
        var place = Array.FindIndex(Classes, name => collection.TestCollectionDisplayName.Contains(name, StringComparison.Ordinal));
        return place < 0 ? Classes.Length : place;
    }
}
