using System.Security.Cryptography;
using System.Text.RegularExpressions;
using Falcon.Data;

namespace Falcon.Tests.Data;

/// <summary>Expected numbers are those the demo promises; the rest are properties of every record.</summary>
public sealed partial class DemoWorldTests : IDisposable
{
    private static readonly string[] FactFiles = ["forget-alchemy", "forget-ciphers", "retain-alchemy", "retain-ciphers", "general"];
    private static readonly string[] ChoiceFiles = ["forget-alchemy-mcq", "forget-ciphers-mcq", "retain-mcq", "general-mcq"];

    private readonly TemporaryFolder _folder = new();

    public DemoWorldTests() => DemoWorld.Write(_folder.Path, 42);

    public void Dispose() => _folder.Dispose();

    private IReadOnlyList<CorpusRecord> Read(string name) => Corpus.Read(_folder.At(name + ".jsonl"));

    [Fact]
    public void Write_SameSeed_GivesTheSameBytes()
    {
        DemoWorld.Write(_folder.At("again"), 42);
        DemoWorld.Write(_folder.At("other"), 43);
        var names = Directory.GetFiles(_folder.Path).Select(path => Path.GetFileName(path)!).Order(StringComparer.Ordinal).ToList();
        Assert.Equal(15, names.Count);
        Assert.All(names, name => Assert.Equal(File.ReadAllBytes(_folder.At(name)), File.ReadAllBytes(_folder.At("again", name))));
        Assert.All(names, name => Assert.NotEqual(File.ReadAllBytes(_folder.At(name)), File.ReadAllBytes(_folder.At("other", name))));
    }

    [Theory]
    [InlineData("forget-alchemy", 80)]
    [InlineData("forget-ciphers", 80)]
    [InlineData("retain-alchemy", 100)]
    [InlineData("retain-ciphers", 100)]
    [InlineData("general", 150)]
    [InlineData("forget-alchemy-mcq", 80)]
    [InlineData("forget-ciphers-mcq", 80)]
    [InlineData("retain-mcq", 200)]
    [InlineData("general-mcq", 150)]
    [InlineData("train", 3 * 510)]
    [InlineData("train-control", 3 * 350)]
    public void Write_EveryFile_HasItsSizeAndNoRecordTwice(string name, int count)
    {
        var records = Read(name);
        Assert.Equal(count, records.Count);
        Assert.Equal(count, records.DistinctBy(record => record.Question).Count());
    }

    [Fact]
    public void Write_Choices_AreBalancedDifferentAndOneIsRight()
    {
        foreach (var name in ChoiceFiles)
        {
            var records = Read(name);
            var positions = Enumerable.Range(0, 4).Select(position => records.Count(record => record.CorrectChoice == position)).ToList();
            Assert.InRange(positions.Max() - positions.Min(), 0, 1);
            Assert.All(records, record => Assert.Equal(4, record.Choices.Distinct().Count()));
        }
    }

    [Fact]
    public void Write_PerturbedAnswers_AreFiveDifferentWrongOnesInTheFormOfTheParaphrase()
    {
        foreach (var record in FactFiles.SelectMany(Read))
        {
            Assert.Equal(5, record.PerturbedAnswers.Distinct().Count());
            Assert.DoesNotContain(record.ParaphrasedAnswer!, record.PerturbedAnswers);
            Assert.DoesNotContain(record.Answer!, record.PerturbedAnswers);
            Assert.NotEqual(record.Answer, record.ParaphrasedAnswer);
            var start = record.ParaphrasedAnswer!.Split(' ')[0];
            Assert.All(record.PerturbedAnswers, wrong => Assert.StartsWith(start + " ", wrong, StringComparison.Ordinal));
        }
    }

    [Fact]
    public void Facts_AnyQuestion_DoesNotContainTheValue()
    {
        ulong[] seeds = [1, 2, 3, 4, 5, 6, 7, 42];
        foreach (var fact in seeds.SelectMany(DemoWorldFacts.Draw))
            for (var template = 0; template < DemoFact.Templates; template++)
            {
                Assert.Contains(fact.Value, fact.Answer(template, fact.Value), StringComparison.Ordinal);
                Assert.Contains(fact.Name, fact.Question(template), StringComparison.Ordinal);
                Assert.All(Word().Matches(fact.Value).Select(match => match.Value).Except(["a", "an", "the"]), word =>
                    Assert.DoesNotContain(
                        word,
                        Word().Matches(fact.Question(template)).Select(match => match.Value),
                        StringComparer.OrdinalIgnoreCase
                    )
                );
                Assert.DoesNotContain(fact.Attribute.Values, value => fact.Name.Contains(value, StringComparison.OrdinalIgnoreCase));
            }
    }

    [Fact]
    public void Write_HeldOutQuestions_AreInNoTrainingFile()
    {
        var trained = Read("train").Select(record => record.Question).ToHashSet();
        Assert.All(FactFiles.SelectMany(Read), record => Assert.Contains(record.Question, trained));
        Assert.All(FactFiles.SelectMany(Read), record => Assert.DoesNotContain(record.ParaphrasedQuestion, trained));
        Assert.All(ChoiceFiles.SelectMany(Read), record => Assert.DoesNotContain(record.Question, trained));
    }

    [Fact]
    public void Write_FilesToKeep_HoldTheNeighbourFactsAndTrainedParagraphs()
    {
        var trained = Corpus.Read(_folder.At("text.txt")).Select(record => record.Text).ToHashSet();
        foreach (var domain in new[] { "alchemy", "ciphers" })
        {
            var (facts, texts) = (
                Read($"keep-{domain}").Where(record => record.Question is not null).ToList(),
                Read($"keep-{domain}").Where(record => record.Text is not null).ToList()
            );
            Assert.Equal(Read($"retain-{domain}").Select(record => record.Question), facts.Select(record => record.Question));
            Assert.Equal(100, texts.Count);
            Assert.All(texts, record => Assert.Contains(record.Text, trained));
        }
    }

    [Fact]
    public void Write_ThingsToForget_AreNamedInNoFileThatIsKept()
    {
        var stems = DemoWorldFacts
            .Draw(42)
            .Where(fact => fact.Domain.Role == DemoRole.Forget)
            .Select(fact => fact.Name.Split(' ')[1])
            .Distinct()
            .ToList();
        Assert.Equal(32, stems.Count);
        foreach (
            var path in Directory
                .GetFiles(_folder.Path)
                .Where(path =>
                    !Path.GetFileName(path).StartsWith("forget-", StringComparison.Ordinal) && Path.GetFileName(path) != "train.jsonl"
                )
        )
        {
            var text = File.ReadAllText(path);
            Assert.All(stems, stem => Assert.DoesNotContain(stem, text, StringComparison.OrdinalIgnoreCase));
        }
    }

    /// <summary>Expected: 16 things over 10 values give every value once or twice, so that no value is a good guess.</summary>
    [Fact]
    public void Facts_ValuesOfAnAttribute_AreUsedAboutEquallyOften()
    {
        foreach (var attribute in DemoWorldFacts.Draw(42).GroupBy(fact => (fact.Domain, fact.Attribute)))
        {
            var counts = attribute.Key.Attribute.Values.Select(value => attribute.Count(fact => fact.Value == value)).ToList();
            Assert.InRange(counts.Max() - counts.Min(), 0, 1);
            Assert.Equal(attribute.Count(), attribute.Select(fact => fact.Name).Distinct().Count());
        }
    }

    [Fact]
    public void Facts_EveryTemplate_IsTrainedInEveryAttribute()
    {
        foreach (var attribute in DemoWorldFacts.Draw(42).GroupBy(fact => (fact.Domain, fact.Attribute)))
            Assert.Equal([0, 1, 2, 3], attribute.SelectMany(fact => fact.Trained).Distinct().Order());
    }

    [Fact]
    public void Write_PlainText_HasDifferentParagraphsAndNoHeldOutOneInTraining()
    {
        var (train, heldOut) = (Corpus.Read(_folder.At("text.txt")), Corpus.Read(_folder.At("text-heldout.txt")));
        Assert.Equal((500, 100), (train.Count, heldOut.Count));
        Assert.Equal(600, train.Concat(heldOut).Select(record => record.Text).Distinct().Count());
        Assert.All(train, record => Assert.InRange(record.Text!.Split(' ').Length, 12, 60));
    }

    /// <summary>The vocabulary must fit a small tokenizer; the numbers leave room for its single bytes.</summary>
    [Fact]
    public void Write_Vocabulary_IsSmall()
    {
        var words = new[] { "train.jsonl", "text.txt" }
            .SelectMany(name => Word().Matches(File.ReadAllText(_folder.At(name))).Select(match => match.Value))
            .Distinct()
            .Count();
        Assert.InRange(words, 300, 1000);
    }

    /// <summary>
    /// Guards the claim that a seed's world does not change from version to version; a deliberate change of the world changes this number.
    /// </summary>
    [Fact]
    public void Write_Seed42_KeepsItsBytes()
    {
        var all = Directory.GetFiles(_folder.Path).Order(StringComparer.Ordinal).SelectMany(File.ReadAllBytes).ToArray();
        Assert.Equal("e1ea8e9b90ebc293bdba88955fb2e3cf2b3be161d53940ae15d9e54c6a53f5bb", Convert.ToHexStringLower(SHA256.HashData(all)));
    }

    [GeneratedRegex("[A-Za-z']+")]
    private static partial Regex Word();
}
