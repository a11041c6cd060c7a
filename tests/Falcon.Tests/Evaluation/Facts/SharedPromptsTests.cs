using Falcon.Checkpoints;
using Falcon.Evaluation;
using Falcon.Models;
using Falcon.Tests.Models.Families;
using static TorchSharp.torch;

namespace Falcon.Tests.Evaluation.Facts;

/// <summary>Continuations of a shared prompt score as they do one by one, in every family.</summary>
public sealed class SharedPromptsTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    public static TheoryData<string> Families() => [.. FamilyCase.All.Select(one => one.Name)];

    [Theory]
    [MemberData(nameof(Families))]
    public void Score_GroupsOfManyLengths_AsOneByOne(string family)
    {
        using var checkpoint = Checkpoint.Open(FamilyCase.Of(family).Write(_folder.At("model")));
        using var weights = checkpoint.LoadWeights(float32, CPU);
        var model = new CausalLM(checkpoint.Config, weights);
        Assert.SkipUnless(SharedPrompts.Serves(model), "the rotation depends on the length of the text");

        // Prompts of several lengths, continuations of one token and of several, one that begins before the end of what is shared, a text
        // that comes twice.
        List<IReadOnlyList<ScoredSequence>> groups = [];
        for (var prompt = 1; prompt <= 7; prompt += 2)
        {
            var shared = FamilyCase.Ids(prompt, prompt);
            var start = prompt;
            groups.Add(
                [
                    .. new[] { 1, 4, 2, 2, 7 }.Select(
                        (count, i) => new ScoredSequence([.. shared, .. FamilyCase.Ids(count, 100 + (i == 3 ? 2 : i))], start)
                    ),
                ]
            );
        }

        groups.Add([new([.. FamilyCase.Ids(6, 9)], 2), new([.. FamilyCase.Ids(6, 9), 5], 3)]);
        var alone = groups.Select(group => group.Select(one => TokenLikelihoods.Compute(model, [one], 0)[0]).ToList()).ToList();
        var together = SharedPrompts.Score(model, groups, padId: 0);

        foreach (var (expected, actual) in alone.SelectMany(group => group).Zip(together))
        {
            Assert.Equal(expected.LogProbabilities.Length, actual.LogProbabilities.Length);
            Assert.All(expected.LogProbabilities.Zip(actual.LogProbabilities), pair =>
                Assert.Equal(pair.First, pair.Second, 2e-4 * Math.Max(1, Math.Abs(pair.First)))
            );
        }
    }

    [Fact]
    public void Batches_EveryGroup_StandsInOne()
    {
        using var checkpoint = Checkpoint.Open(TinyCheckpoint.Write(_folder.At("model")));
        using var weights = checkpoint.LoadWeights(float32, CPU);
        var model = new CausalLM(checkpoint.Config, weights);
        List<IReadOnlyList<ScoredSequence>> groups =
        [
            .. Enumerable
                .Range(0, 100)
                .Select(i => (IReadOnlyList<ScoredSequence>)
                    [new([.. FamilyCase.Ids(40 + i % 50, i).Select(id => id % 257), 1, 2], 40 + i % 50)]
                ),
        ];
        var batches = SharedPrompts.Batches(model, groups);
        Assert.True(batches.Count > 1, "2,048 tokens of prompts hold less than all groups");
        Assert.Equal(Enumerable.Range(0, 100), batches.SelectMany(batch => batch).Order());
    }
}
