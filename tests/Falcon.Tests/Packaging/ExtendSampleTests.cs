using Falcon.Attacks;
using Falcon.Attacks.BlackBox;
using Falcon.Attacks.Protocol;
using Falcon.Evaluation.Suites;
using Falcon.Results;

namespace Falcon.Tests.Packaging;

/// <summary>
/// Code from outside: the sample that adds it runs as a program of its own; registration refuses names that cannot be used.
/// </summary>
public sealed class ExtendSampleTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Sample_LossMetricAndAttackFromOutside_AreInTheResults()
    {
        var sample = Path.Combine(Fixtures.RepositoryRoot, "samples", "Extend");
        Assert.InRange(File.ReadAllLines(Path.Combine(sample, "Program.cs")).Length, 1, 59);
        var configuration = AppContext.BaseDirectory.Contains("Debug", StringComparison.Ordinal) ? "Debug" : "Release";
        var program = Directory
            .EnumerateFiles(Path.Combine(sample, "bin", configuration), "Extend.dll", SearchOption.AllDirectories)
            .First();

        var output = await ProgramRun.Of(
            "dotnet",
            _folder.Path,
            null,
            program,
            Path.Combine(Fixtures.RepositoryRoot, "demo"),
            _folder.At("out")
        );

        Assert.Contains("answer-length: ", output, StringComparison.Ordinal);
        Assert.Contains("eager-opening: ", output, StringComparison.Ordinal);
        Assert.Contains("uniform: {\"step\":3", output, StringComparison.Ordinal);
        Assert.Contains("\"kind\": \"uniform\"", File.ReadAllText(_folder.At("out", "run", "config.json")), StringComparison.Ordinal);
        Assert.Equal("eager-opening", AttackResult.Read(_folder.At("out", "attack", AttackResult.FileName)).Attacks.Single().Name);
        Assert.Contains("\"answer-length\"", File.ReadAllText(_folder.At("out", "metric.json")), StringComparison.Ordinal);
    }

    [Fact]
    public void Register_NameThatIsTaken_IsRefused()
    {
        Assert.Contains(
            "already",
            Assert.Throws<ArgumentException>(() => AttackCatalog.Register(new Prefilling())).Message,
            StringComparison.Ordinal
        );
        Assert.Contains(
            "already",
            Assert.Throws<ArgumentException>(() => SuiteCatalog.Register("tofu", _ => throw new InvalidOperationException())).Message,
            StringComparison.Ordinal
        );
    }

    [Theory]
    [InlineData("")]
    [InlineData("My Attack")]
    [InlineData("none")]
    [InlineData("../outside")]
    public void Register_NameThatCannotBeUsed_IsRefused(string name)
    {
        var count = AttackCatalog.All.Count;
        Assert.Throws<ArgumentException>(() => AttackCatalog.Register(new Named(name)));
        Assert.Equal(count, AttackCatalog.All.Count);
    }

    private sealed class Named(string name) : Attack
    {
        public override string Name => name;

        public override AttackTier Tier => AttackTier.BlackBox;

        public override string Definition => "";

        public override AttackScores Run(AttackSubject subject, AttackData data, AttackSettings settings) => new([], "");
    }
}
